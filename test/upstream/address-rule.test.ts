import { describe, expect, it } from 'vitest'
import { classifyAddress } from '../../src/upstream/address-rule.ts'

const TABLE = {
  public: [
    '8.8.8.8',
    '1.1.1.1',
    '172.15.255.255',
    '172.32.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '192.169.0.1',
    '223.255.255.255',
    '2606:4700::1111',
    '2001:4860:4860::8888',
    '::ffff:8.8.8.8',
    '64:ff9b::8.8.8.8',
    '2002:808:808::1',
  ],
  private: [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    'fc00::1',
    'fd12:3456::1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
    '2002:c0a8:101::',
  ],
  special: [
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '192.0.2.1',
    '198.18.0.1',
    '198.51.100.7',
    '203.0.113.7',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '0:0:0:0:0:0:0:1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::FFFF:7F00:1',
    '::ffff:0:127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::169.254.169.254',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2002:a9fe:a9fe::1',
    '2001::1',
    '2001:db8::1',
    'fd00:ec2::254',
    'fd20:ce::254',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    '100::1',
    '5f00::1',
    'not an address',
    '',
  ],
} as const

describe('classifyAddress', () => {
  for (const [kind, addresses] of Object.entries(TABLE)) {
    it.each(addresses)(`finds %s ${kind}`, (address) => {
      expect(classifyAddress(address)).toBe(kind)
    })
  }

  it.each([
    ['http://2130706433/', 'special'],
    ['http://0x7f.1/', 'special'],
    ['http://0177.0.0.1/', 'special'],
    ['http://127.1/', 'special'],
    ['http://①②⑦.0.0.1/', 'special'],
    ['http://[::ffff:127.0.0.1]/', 'special'],
    ['http://[0:0:0:0:0:ffff:a9fe:a9fe]/', 'special'],
    ['http://3232235777/', 'private'],
    ['http://0x08080808/', 'public'],
  ])('judges the address in %s, as the URL parser spells it', (text, kind) => {
    expect(classifyAddress(new URL(text).hostname.replace(/^\[|\]$/g, ''))).toBe(kind)
  })
})
