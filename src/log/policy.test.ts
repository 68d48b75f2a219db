import { describe, expect, test } from 'vitest'
import { testSigner } from '../../test/signer.ts'
import { signCheckpoint } from './checkpoint.ts'
import { cosignatureSigner } from './cosignature.ts'
import { emptyRoot } from './hash.ts'
import { addSignature, COSIGNATURE_ED25519, ed25519Verifier } from './note.ts'
import { evaluatePolicy, MAX_POLICY_BYTES, openUnderPolicy, parsePolicy } from './policy.ts'

const log = testSigner('log.example', 1)
const keys = new Map(['X1', 'X2', 'X3', 'Y1', 'Y2', 'Y3'].map((name, i) => [name, testSigner(`w.example/${name}`, 10 + i, COSIGNATURE_ED25519)]))
const witness = (name: string): string => `witness ${name} ${keys.get(name)!.vkey}`
const SPEC = `log ${log.vkey}

${['X1', 'X2', 'X3'].map(witness).join('\n')}
group X-witnesses 2 X1 X2 X3

${['Y1', 'Y2', 'Y3'].map(witness).join('\n')}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`
const note = (...names: string[]): string => names.reduce((made, name) => addSignature(made, cosignatureSigner(keys.get(name)!.signer, 1_700_000_000)), signCheckpoint({ origin: 'log.example', size: 0, root: emptyRoot() }, [log.signer]))
const judged = (text: string, ...names: string[]): ReturnType<typeof evaluatePolicy> => evaluatePolicy(parsePolicy(text), openUnderPolicy(parsePolicy(text), note(...names)).cosignatures)

describe('the quorum', () => {
  test.each<[string[], boolean]>([
    [[], false], [['X1', 'X2'], false], [['Y1', 'Y2', 'Y3'], false], [['X1', 'Y1'], false], [['X1', 'X3', 'Y2'], true], [['X1', 'X2', 'X3', 'Y1', 'Y2', 'Y3'], true],
  ])("of the specification's example with %j is %s", (names, satisfied) => {
    expect(judged(SPEC, ...names)).toMatchObject({ satisfied, quorum: satisfied, witnesses: names.map((name) => ({ name, time: 1_700_000_000 })) })
  })

  test('may be one witness, or none', () => {
    expect(judged(`log ${log.vkey}\n${witness('X1')}\nquorum X1\n`, 'X1').satisfied).toBe(true)
    expect(judged(`log ${log.vkey}\n${witness('X1')}\nquorum X1\n`).satisfied).toBe(false)
    expect(judged(`log ${log.vkey}\nquorum none\n`)).toEqual({ satisfied: true, quorum: true, witnesses: [], organisations: 0 })
  })

  test('is not reached by strangers, by times of zero, or by a log that is not listed', () => {
    const one = `log ${log.vkey}\n${witness('X1')}\nquorum X1\n`
    expect(judged(one, 'X2', 'Y1')).toMatchObject({ satisfied: false, witnesses: [] })
    const timeless = addSignature(note(), cosignatureSigner(keys.get('X1')!.signer, 0))
    expect(evaluatePolicy(parsePolicy(one), openUnderPolicy(parsePolicy(one), timeless).cosignatures).satisfied).toBe(false)
    const other = parsePolicy(`log ${testSigner('log.example', 2).vkey}\n${witness('X1')}\nquorum X1\n`)
    expect(() => openUnderPolicy(other, note('X1'))).toThrow(expect.objectContaining({ code: 'note_unverified' }))
    expect(evaluatePolicy(other, openUnderPolicy(other, note('X1'), [ed25519Verifier(log.vkey)]).cosignatures).satisfied).toBe(true)
  })
})

describe('organisations', () => {
  const rule = `${SPEC}#! organisation Xcorp X1 X2 X3\n#! organisation Ycorp Y1 Y2\n#! organisations 2\n`
  test.each<[string[], boolean, number]>([[['X1', 'X2', 'X3', 'Y1'], true, 2], [['X1', 'X2', 'Y3'], false, 1], [['X1', 'X2', 'Y1', 'Y2', 'Y3'], true, 2]])('of %j: %s, %i', (names, satisfied, organisations) => {
    expect(judged(rule, ...names)).toMatchObject({ satisfied, organisations, quorum: true })
  })

  test('are the witnesses themselves where no line names them', () => {
    expect(judged(SPEC, 'X1', 'X2', 'Y1').organisations).toBe(3)
  })

  test('stand in comments, which a reader of C2SP skips', () => {
    const bare = parsePolicy(rule.split('\n').filter((line) => !line.startsWith('#')).join('\n'))
    const { groups, quorum, witnesses } = parsePolicy(rule)
    expect([groups, quorum, witnesses.map(({ vkey }) => vkey)]).toEqual([bare.groups, bare.quorum, bare.witnesses.map(({ vkey }) => vkey)])
  })
})

test('blanks, tabs, comments and names that are not ASCII are read', () => {
  const { witnesses, logs, quorum } = parsePolicy(`# a comment\n \t# another\n\n\tlog  ${log.vkey}\t https://log.example/ \n witness \u212a ${keys.get('X1')!.vkey} https://w.example\nwitness K ${keys.get('X2')!.vkey}\ngroup g 2 \u212a K\nquorum g\n`)
  expect([witnesses.map(({ name, url }) => [name, url]), logs[0]!.url, quorum]).toEqual([[['\u212a', 'https://w.example'], ['K', undefined]], 'https://log.example/', 'g'])
})

describe('refused is', () => {
  const x1 = witness('X1')
  const renamed = testSigner('other.example/name', 10, COSIGNATURE_ED25519)
  test.each<[string, string, number | undefined]>([
    ['a file without a quorum', `log ${log.vkey}\n`, undefined],
    ['a second quorum', 'quorum none\nquorum none\n', 2],
    ['a quorum that is not defined yet', `quorum X1\n${x1}\n`, 1],
    ['an unknown keyword', 'Log x\nquorum none\n', 1],
    ['an unknown line of ours', '#! organization A X1\nquorum none\n', 1],
    ['no newline at the end', 'quorum none', 1],
    ['a carriage return', 'quorum none\r\n', 1],
    ['a null character', '# \u0000\nquorum none\n', 1],
    ['bytes that were not UTF-8', '# \ufffd\nquorum none\n', 1],
    ['a key of a witness as a log', `log ${keys.get('X1')!.vkey}\nquorum none\n`, 1],
    ['a key of a log as a witness', `witness a ${log.vkey}\nquorum none\n`, 1],
    ['a broken key', `log ${log.vkey.slice(0, -4)}\nquorum none\n`, 1],
    ['a log twice', `log ${log.vkey}\nlog ${log.vkey} https://x\nquorum none\n`, 2],
    ['a witness key twice, under another name and id', `${x1}\nwitness b ${renamed.vkey}\nquorum none\n`, 2],
    ['a name twice', `${x1}\nwitness X1 ${keys.get('X2')!.vkey}\nquorum none\n`, 2],
    ['a group called like a witness', `${x1}\n${witness('X2')}\ngroup X1 any X2\nquorum none\n`, 3],
    ['a witness called none', `witness none ${keys.get('X1')!.vkey}\nquorum none\n`, 1],
    ['a member none', 'group g any none\nquorum none\n', 1],
    ['a group in itself', `${x1}\ngroup g any X1 g\nquorum none\n`, 2],
    ['a member twice', `${x1}\ngroup g any X1 X1\nquorum none\n`, 2],
    ['a member of two groups', `${x1}\ngroup g any X1\ngroup h any X1\nquorum none\n`, 3],
    ['a group without members', `${x1}\ngroup g any\nquorum none\n`, 2],
    ['0 of a group', `${x1}\ngroup g 0 X1\nquorum none\n`, 2],
    ['more than all', `${x1}\ngroup g 2 X1\nquorum none\n`, 2],
    ['01 of a group', `${x1}\ngroup g 01 X1\nquorum none\n`, 2],
    ['too many words', `${x1} https://x y\nquorum none\n`, 1],
    ['an organisation of nobody known', `${x1}\n#! organisation A X2\nquorum X1\n`, 2],
    ['a witness of two organisations', `${x1}\n#! organisation A X1\n#! organisation B X1\nquorum X1\n`, 3],
    ['an organisation twice', `${x1}\n${witness('X2')}\n#! organisation A X1\n#! organisation A X2\nquorum X1\n`, 4],
    ['more organisations than there are', `${x1}\n#! organisations 2\nquorum X1\n`, undefined],
    ['a policy that is too long', `${'#'.repeat(MAX_POLICY_BYTES)}\nquorum none\n`, undefined],
    ['257 groups', `${x1}\ngroup g0 any X1\n${Array.from({ length: 256 }, (_, i) => `group g${i + 1} any g${i}\n`).join('')}quorum none\n`, 258],
  ])('%s', (_, text, line) => {
    expect(() => parsePolicy(text)).toThrow(expect.objectContaining({ name: 'MisuseError', code: 'policy_malformed', message: expect.stringContaining(line === undefined ? 'policy: ' : `policy line ${line}:`) }))
  })
})
