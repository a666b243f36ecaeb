import { describe, expect, it } from 'vitest'
import { looksLikeImage, looksLikeNamedImage } from '../../../src/airgap/discover/image-pattern.ts'

const DIGEST = `sha256:${'ab'.repeat(32)}`

describe('what looks like an image', () => {
  it.each([
    'quay.io/acme/tool:v9',
    'docker.io/library/alpine:3.22',
    'ghcr.io/org/app:main',
    `ghcr.io/org/app@${DIGEST}`,
    `org/app@${DIGEST}`,
    'localhost:5000/app:dev',
    '10.0.0.7:5000/app:x',
    'registry.corp:5000/a/b/c:some-branch',
    'bitnami/redis:7.4',
    'org/app:latest',
    'org/app:stable-alpine',
    'org/app_with__underscores:1.0',
    'docker://alpine:3.22',
  ])('%s', (text) => {
    expect(looksLikeImage(text)).toBe(true)
  })
})

describe('what does not', () => {
  it.each([
    '',
    'nginx',
    'nginx:1.29',
    'quay.io/acme/tool',
    'system:auth-delegator',
    'system:serviceaccount:kube-system/thing',
    'metrics-server:system:auth-delegator',
    'registry1.dso.mil*',
    'registry1.dso.mil/*',
    'ghcr.io/org/*:v1',
    'https://quay.io/acme/tool:v9',
    'http://example.com:80/a:1',
    'postgres://db:5432/app:1',
    '/etc/app/config:v1',
    './conf/site:/etc/nginx',
    'src/main.go:42',
    'charts/app-1.2.tgz:1',
    'default/web:8080',
    'apps/v1:Deployment',
    'team/app:ro',
    'redis.internal:6379/0',
    '10.0.0.0/8',
    'git@github.com:org/repo.git',
    'actions/checkout@v5',
    'America/New_York:1',
    'see docs/a:1',
    '{{ .Values.a }}/b:1',
    '${REGISTRY}/b:1',
    'quay.io/acme/tool:',
    'quay.io//tool:1',
    `${'a/'.repeat(400)}b:1`,
  ])('%s', (text) => {
    expect(looksLikeImage(text)).toBe(false)
  })
})

it('takes less where a key says that it is an image', () => {
  expect(['nginx:1.29', 'quay.io/acme/tool', 'org/app:ro'].every(looksLikeNamedImage)).toBe(true)
  expect(['nginx', 'logo.PNG', 'https://x.io/a.png:1', 'a b:1'].some(looksLikeNamedImage)).toBe(
    false,
  )
})
