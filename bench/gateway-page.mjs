// bench/gateway.md, of what bench/gateway printed: gateway-page.mjs FIGURES PEER MACHINE
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [file, peer, machine] = process.argv.slice(2)
const figures = readFileSync(file, 'utf8')
const values = { ours: {}, theirs: {} }
let side = values.ours
const take = (line, name, pattern, index = 1) => {
  const found = pattern.exec(line)
  if (found) side[name] = Number(found[index])
}
for (const line of figures.split('\n')) {
  if (line.startsWith('presence-gateway:')) side = values.ours
  if (line === `${peer}:`) side = values.theirs
  take(line, 'memory', /([\d.]+) MB resident/)
  take(line, 'join', /join 100 rooms at once: .* = ([\d.]+) ms CPU/)
  take(line, 'all', /all in after (\d+) ms/)
  take(line, 'server', /room of 90: server ([\d.]+)/)
  take(line, 'pair', /room of 90: .* = ([\d.]+) ms CPU/)
  take(line, 'p50join', /join, until all have heard: p50 ([\d.]+)/)
  take(line, 'p50leave', /leave, until all have heard: p50 ([\d.]+)/)
  take(line, 'elsewhere', /nobody here is in: (\d+) ns/)
  take(line, 'big', /room of 10,001.*: server ([\d.]+)/)
}
const { ours, theirs } = values
const row = (what, unit, mine, other, bar) =>
  `| ${what} | ${mine} ${unit} | ${other === undefined ? '' : `${other} ${unit}`} | ${other === undefined ? '' : (mine / other).toFixed(2)} | ${bar} |`
const half = (values) => (values.p50join + values.p50leave) / 2
console.log(`# The gateway under load

Both servers in one run of \`bench/gateway --peer HOST:PORT --pid N --name ${peer}\`, on ${machine}. CPU is that of the processes, by the
kernel; that of PostgreSQL is added where it works for the gateway. At a load far above 1 read the CPU, not the times.

| what | presence-gateway | ${peer} | ratio | the bar |
|---|---|---|---|---|
${[
  row('5,000 sockets in rooms of 50: memory', 'MB', ours.memory, theirs.memory, '0.25'),
  row("2,000 clients into 100 rooms: CPU a join, PostgreSQL's included", 'ms', ours.join, theirs.join, '0.5'),
  row('the same: until all are in', 'ms', ours.all, theirs.all, '0.5'),
  row('join and leave in a room of 90: CPU of the server', 'ms', ours.server, theirs.server, '0.5'),
  row("the same, PostgreSQL's included", 'ms', ours.pair, theirs.pair, '1'),
  row('the same: p50 until all know, mean of join and leave', 'ms', half(ours).toFixed(2), half(theirs).toFixed(2), '0.9'),
  row('an event of a room that nobody here is in', 'ns', ours.elsewhere, undefined, '300 ns'),
  row('join and leave in a room of 10,001, the list sent: CPU of the gateway', 'ms', ours.big, undefined, '1 ms beside the sends')
].join('\n')}

\`\`\`text
${figures.trim()}
\`\`\`

${readFileSync(join(dirname(fileURLToPath(import.meta.url)), 'gateway-profile.md'), 'utf8').trim()}`)
