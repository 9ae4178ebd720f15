// Runs what was built in jsdom, with a server that knows one reader, and prints the page's text.

import { readFileSync } from 'node:fs'
import { JSDOM } from 'jsdom'

const now = new Date().toISOString()
const ann = { userId: 'ann', name: 'Ann', avatarUrl: null, isAuthor: false, joinedAt: Date.now() }
const answers = {
  '/api/presence/join': {
    id: '1',
    userId: 'ann',
    bookId: 'emma',
    joinedAt: now,
    lastActiveAt: now,
    leftAt: null,
    isAuthor: false
  },
  '/api/presence/touch': { joined: true },
  '/api/presence/poll': { version: '1', members: [ann], joined: true, left: false, authorId: null }
}

const { window } = new JSDOM(readFileSync('dist/index.html', 'utf8').replace(/<script[^>]*><\/script>/, ''), {
  runScripts: 'outside-only',
  url: 'http://localhost/'
})
window.AbortSignal = AbortSignal
window.fetch = async (path) => Response.json({ data: answers[path] })
window.eval(readFileSync('dist/main.js', 'utf8'))

const text = () => window.document.getElementById('root').textContent
const deadline = Date.now() + 10_000
while (!text().endsWith('Ann') && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50))
console.log(text())
process.exit(text() === 'presence-room-emmaAnn' ? 0 : 1)
