import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describeFileError } from '../core/describe-file-error.ts'

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** PEM text of one or more certificates. Throws an Error whose message says what is wrong with the file. */
export async function readCaBundle(path: string): Promise<string> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new Error(`cannot read ${path}: ${describeFileError(cause)}`, { cause })
  }
  const blocks = text.match(CERTIFICATE)
  if (blocks === null) throw new Error(`${path} holds no certificate in PEM form`)
  for (const [index, block] of blocks.entries()) checkCertificate(block, index, path)
  return text
}

function checkCertificate(block: string, index: number, path: string): void {
  try {
    void new X509Certificate(block)
  } catch (cause) {
    throw new Error(`certificate ${index + 1} in ${path} cannot be read`, { cause })
  }
}
