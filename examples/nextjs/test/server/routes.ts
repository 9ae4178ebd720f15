// A request of a page to one of this server's routes.

import type { Person } from './people'

type Route = (request: Request) => Promise<Response>

export async function ask(route: Route, body: unknown, person: Person | null) {
  const response = await route(
    new Request('http://127.0.0.1:3000/api', {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: person?.headers ?? new Headers()
    })
  )
  return { status: response.status, headers: response.headers, body: await response.json().catch(() => null) }
}
