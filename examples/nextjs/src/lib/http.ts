// What the routes have in common: a body of bounded size, a session, an answer
// that nobody keeps.

import 'server-only'
import { failure, type ActionError, type ActionResult } from './members'
import { isWithinLimit } from './rate-limit'
import { sessionOf, type SessionUser } from './session'
import { refusalStatus } from './sql-state'

// The body as text, or null if it is longer than so many bytes: then no more of it is read.
export async function readBody(request: Request, limit: number): Promise<string | null> {
  if (Number(request.headers.get('content-length') ?? 0) > limit) return null
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = request.body?.getReader()
  for (let part = await reader?.read(); part && !part.done; part = await reader!.read()) {
    size += part.value.byteLength
    if (size > limit) {
      void reader!.cancel()
      return null
    }
    chunks.push(part.value)
  }
  return new TextDecoder().decode(Buffer.concat(chunks))
}

const STATUS: Record<ActionError, number> = { unauthorized: 401, invalid: 400, 'not-found': 404, unavailable: 503 }
const MAX_BODY = 4_096

function answer<T>(result: ActionResult<T>, cookies: string[], status?: number): Response {
  const headers = new Headers({ 'cache-control': 'no-store' })
  for (const cookie of cookies) headers.append('set-cookie', cookie)
  return Response.json(result, { status: status ?? (result.success ? 200 : STATUS[result.error]), headers })
}

// A route of presence: its URL and its JSON stay as they are from one deploy to
// the next, since the pages that ask are older than the server that answers. run
// returns null if there is no such book.
export async function presenceRoute<Input, T>(
  request: Request,
  parse: (body: unknown) => { success: true; data: Input } | { success: false },
  run: (user: SessionUser, input: Input) => Promise<T | null>
): Promise<Response> {
  let cookies: string[] = []
  try {
    const session = await sessionOf(request.headers)
    cookies = session.cookies
    if (!session.user) return answer(failure('unauthorized'), cookies)
    if (!(await isWithinLimit('presence', session.user.id))) return answer(failure('unavailable'), cookies, 429)

    const input = parse(jsonOf(await readBody(request, MAX_BODY)))
    if (!input.success) return answer(failure('invalid'), cookies)

    const data = await run(session.user, input.data)
    return answer(data === null ? failure('not-found') : { success: true, data }, cookies)
  } catch (error) {
    if (refusalStatus(error)) return answer(failure('invalid'), cookies)
    console.error(error)
    return answer(failure('unavailable'), cookies)
  }
}

function jsonOf(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text)
  } catch {
    return null
  }
}
