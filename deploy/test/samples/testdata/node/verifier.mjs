// Prints "accepted" or "rejected" for each token on standard input, a JSON string a line.
// The test puts the sample into accept. A TypeError or the like is a fault of the sample.
import { createInterface } from 'node:readline'
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18 has no global of this name
const { createRemoteJWKSet, jwtVerify } = await import('jose')

async function accept(raw) {
  // SAMPLE
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    await accept(JSON.parse(line))
    console.log('accepted')
  } catch (e) {
    if (e instanceof ReferenceError || e instanceof TypeError || e instanceof SyntaxError) throw e
    console.log('rejected')
  }
}
