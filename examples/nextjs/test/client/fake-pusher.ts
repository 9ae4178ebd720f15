// A pusher-js that tests drive by hand: what the app calls of it, and counts of
// what is bound, to see that nothing is left behind.

type Binding = { event: string; callback: (data: unknown) => void; context: unknown }

class Emitter {
  bindings: Binding[] = []

  bind(event: string, callback: (data: never) => void, context?: unknown) {
    this.bindings.push({ event, callback: callback as Binding['callback'], context })
    return this
  }

  unbind(event?: string, callback?: unknown, context?: unknown) {
    this.bindings = this.bindings.filter(
      (binding) =>
        (event && binding.event !== event) ||
        (callback && binding.callback !== callback) ||
        (context && binding.context !== context)
    )
    return this
  }

  emit(event: string, data?: unknown) {
    for (const binding of [...this.bindings]) if (binding.event === event) binding.callback.call(binding.context, data)
  }
}

export type FakeMember = { id: string; info: unknown }

export class FakeChannel extends Emitter {
  subscribed = false
  subscriptionPending = true
  private present = new Map<string, unknown>()
  members = {
    each: (callback: (member: FakeMember) => void) => this.present.forEach((info, id) => callback({ id, info }))
  }

  constructor(readonly name: string) {
    super()
  }

  succeed(members: FakeMember[]) {
    this.subscribed = true
    this.subscriptionPending = false
    this.present = new Map(members.map(({ id, info }) => [id, info]))
    this.emit('pusher:subscription_succeeded')
  }

  // As when the server refuses; pusher-js leaves subscriptionPending set.
  refuse() {
    this.emit('pusher:subscription_error', { status: 403 })
  }

  add(member: FakeMember) {
    this.present.set(member.id, member.info)
    this.emit('pusher:member_added', member)
  }

  remove(id: string) {
    const member = { id, info: this.present.get(id) }
    this.present.delete(id)
    this.emit('pusher:member_removed', member)
  }

  lose() {
    this.subscribed = false
    this.present.clear()
  }
}

export class FakePusher {
  connection = Object.assign(new Emitter(), { state: 'connected' })
  open = new Map<string, FakeChannel>()
  private made: FakeChannel[] = []
  calls: string[] = []

  subscribe(name: string): FakeChannel {
    this.calls.push(`subscribe ${name}`)
    const channel = this.open.get(name) ?? new FakeChannel(name)
    this.made.push(channel)
    channel.subscriptionPending = !channel.subscribed
    this.open.set(name, channel)
    return channel
  }

  unsubscribe(name: string) {
    this.calls.push(`unsubscribe ${name}`)
    this.open.delete(name)
  }

  signin() {
    this.calls.push('signin')
  }

  disconnect() {
    this.calls.push('disconnect')
    this.become('disconnected')
  }

  connect() {
    this.calls.push('connect')
    this.become('connecting')
  }

  // The socket's state changes.
  become(state: string) {
    const previous = this.connection.state
    this.connection.state = state
    if (state !== 'connected') for (const channel of this.open.values()) channel.lose()
    // As pusher-js does: all channels are asked for with each new socket.
    if (state === 'connected') for (const channel of this.open.values()) channel.subscriptionPending = true
    this.connection.emit('state_change', { previous, current: state })
  }

  // What the app has bound, anywhere.
  get bound(): number {
    const emitters = new Set<Emitter>([this.connection, ...this.made])
    return [...emitters].reduce((sum, { bindings }) => sum + bindings.length, 0)
  }
}
