// One tab's stay in one room, from open() to close(): joins, subscribes, falls
// back to polling, returns to real time, leaves. It writes the store; the hook
// usePresenceChannel makes one for each room that its component enters.
//
// Who holds the presence in the database:
//
//   gateway, real time    the gateway's socket; the tab gives its own
//                         connection up, so that who vanishes is gone with his socket
//   polling               the tab's connection, which every poll renews
//   Pusher, real time     the tab's connection too: Pusher's sockets hold
//                         nothing. Webhooks make it faster that he leaves.
//
// There is always one of the two, so nobody leaves when a tab changes from one
// to the other.

import type Pusher from 'pusher-js'
import type { PresenceChannel } from 'pusher-js'
import { getRoomMembers, joinRoom, leaveRoom, type ActionError, type ActionResult } from '@/actions/presence'
import { usePresenceStore, type ConnectionMode } from '@/stores/usePresenceStore'
import { channelOf, userInfo, type Member, type MemberList } from './members'
import { Serial } from './serial'

export type RoomEvent =
  | { type: 'joined' | 'updated' | 'left'; member: Member }
  | { type: 'mode'; mode: ConnectionMode; reason: string }
  | { type: 'refused'; error: ActionError }

export const POLL_INTERVAL = 30_000
const CONNECT_TIMEOUT = 8_000
const FIRST_RETRY = 5_000
// All tabs lose their gateway at the same instant, and should not ask the server at the same one.
const SPREAD = 1_000
// So a list of that moment lacks those who have not joined yet. A little later it is right.
const SETTLE = 3_000

type Subscribed = { id: string; info: unknown }

export class RoomSession {
  private readonly channelName: string
  // A name of its own for each stay, so that a late leave never ends a new one.
  private readonly connectionId = randomId()
  private readonly store = usePresenceStore.getState
  private readonly calls = new Serial()
  private channel: PresenceChannel | undefined
  private closed = false
  private holding = false // whether the tab's connection is, or may be, in the database
  private joinFirst = true // whether the next poll has to be a join
  private beating = false
  private settling = false // whether the tab has just joined to poll
  private failures = 0
  private known: string | null = null
  private authorId: string | null = null
  private clockSkew = 0 // the database's clock less this one
  private goneSince = new Set<string>() // who left while a list was on its way
  private timer: ReturnType<typeof setTimeout> | undefined

  // socketHolds: whether a subscription holds the presence, as a gateway's does.
  constructor(
    private readonly bookId: string,
    private readonly pusher: Pusher,
    private readonly socketHolds: boolean,
    private readonly onEvent: (event: RoomEvent) => void
  ) {
    this.channelName = channelOf(bookId)
  }

  open(): void {
    this.store().enter(this.channelName)
    this.pusher.connection.bind('state_change', this.onState, this)
    document.addEventListener('visibilitychange', this.onWake)
    window.addEventListener('online', this.onWake)
    window.addEventListener('pageshow', this.onWake)
    window.addEventListener('pagehide', this.onHide)
    this.timer = setTimeout(() => this.degrade('no answer from the socket server'), CONNECT_TIMEOUT)
    void this.join('connecting').then((well) => {
      if (!well && !this.closed) this.degrade('the server does not answer')
    })
  }

  // Ends the stay at once; the promise, when the server knows. May be called again.
  async close(): Promise<void> {
    this.store().leave()
    if (this.closed) return
    this.detach()
    if (this.holding) await this.calls.run(() => leaveRoom(this.address))
  }

  private get address() {
    return { bookId: this.bookId, connectionId: this.connectionId }
  }

  // Nothing is heard, sent or drawn after this.
  private detach(): void {
    this.closed = true
    clearTimeout(this.timer)
    this.pusher.connection.unbind('state_change', undefined, this)
    document.removeEventListener('visibilitychange', this.onWake)
    window.removeEventListener('online', this.onWake)
    window.removeEventListener('pageshow', this.onWake)
    window.removeEventListener('pagehide', this.onHide)
    if (!this.channel) return
    this.channel.unbind(undefined, undefined, this)
    this.pusher.unsubscribe(this.channelName)
  }

  // Joining, polling, releasing: one at a time, in order.

  private call<T>(request: () => Promise<ActionResult<T>>): Promise<ActionResult<T>> {
    return this.calls.run(() => {
      this.goneSince.clear()
      return request()
    })
  }

  private async join(lease: 'connecting' | 'polling'): Promise<boolean> {
    this.holding = true
    const result = await this.call(() => joinRoom({ ...this.address, lease }))
    if (this.closed) return false
    if (!result.success) return this.refused(result.error)
    this.joinFirst = lease !== 'polling'
    this.authorId = result.data.authorId
    this.clockSkew = result.data.now - Date.now()
    this.settling = lease === 'polling'
    if (!this.settling || this.store().members.size === 0) this.showList(result.data.list)
    this.subscribe()
    return true
  }

  private async poll(): Promise<boolean> {
    const result = await this.call(() => getRoomMembers({ ...this.address, known: this.known }))
    if (this.closed) return false
    if (!result.success) return this.refused(result.error)
    this.showList(result.data)
    this.reconnect()
    if (!result.data.joined) return this.join('polling')
    this.subscribe()
    return true
  }

  // pusher-js tries less and less often, up to once a minute, or gives up.
  private reconnect(): void {
    if (this.isOnline) return
    this.pusher.disconnect()
    this.pusher.connect()
  }

  // A heartbeat of the tab's own connection, and the next one in its time.
  private async beat(): Promise<void> {
    if (this.beating) return
    this.beating = true
    const well = this.joinFirst ? await this.join('polling') : await this.poll()
    this.beating = false
    if (this.closed || !this.tabHolds) return
    this.failures = well ? 0 : this.failures + 1
    if (!well) return this.beatIn(Math.min(FIRST_RETRY * 2 ** (this.failures - 1), POLL_INTERVAL))
    this.beatIn(this.settling ? SETTLE : POLL_INTERVAL)
    this.settling = false
  }

  private beatIn(delay: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.beat(), delay)
  }

  private get tabHolds(): boolean {
    const mode = this.store().connectionMode
    return mode === 'polling' || (mode === 'realtime' && !this.socketHolds)
  }

  private get isOnline(): boolean {
    return this.pusher.connection.state === 'connected'
  }

  private async release(): Promise<void> {
    await this.calls.run(async () => {
      // The socket may have been lost while this waited for its turn.
      if (this.closed || this.tabHolds) return
      this.joinFirst = true
      const result = await leaveRoom(this.address)
      if (result.success && !this.tabHolds) this.holding = false
    })
  }

  // False, for beat(): try again. What trying again can't change ends the stay.
  private refused(error: ActionError): false {
    if (error !== 'unavailable') {
      this.detach()
      this.store().refuse(error)
      this.onEvent({ type: 'refused', error })
    }
    return false
  }

  // Between real time and polling.

  private setMode(mode: ConnectionMode, reason: string): void {
    clearTimeout(this.timer)
    this.failures = 0
    this.known = null // the list at hand is no longer that version
    this.store().setConnectionMode(mode)
    this.onEvent({ type: 'mode', mode, reason })
  }

  private degrade(reason: string): void {
    if (this.store().connectionMode === 'polling') return
    this.setMode('polling', reason)
    this.beatIn(Math.random() * SPREAD)
  }

  private restore(reason: string): void {
    const already = this.store().connectionMode === 'realtime'
    if (!already) this.setMode('realtime', reason)
    this.showSubscribed()
    if (already) return
    if (this.socketHolds) void this.release()
    else void this.beat()
  }

  // The subscription.

  private subscribe(): void {
    if (!this.channel) {
      this.channel = this.pusher.subscribe(this.channelName) as PresenceChannel
      this.channel.bind('pusher:subscription_succeeded', () => this.restore('subscribed'), this)
      this.channel.bind('pusher:subscription_error', this.onRefusedSubscription, this)
      this.channel.bind('pusher:member_added', this.onAdded, this)
      this.channel.bind('pusher:member_removed', this.onRemoved, this)
      this.channel.bind('presence:degraded', () => this.degrade('the gateway has lost its database'), this)
      this.channel.bind('presence:restored', () => this.restore('the gateway has its database again'), this)
    } else if (this.isOnline && !this.channel.subscribed && !this.channel.subscriptionPending) {
      this.pusher.subscribe(this.channelName) // refused before, a room that was full for instance
    }
  }

  private onRefusedSubscription(): void {
    // pusher-js clears this only if the authorization failed, not if the server refused.
    this.channel!.subscriptionPending = false
    this.degrade('the subscription was refused')
  }

  private onState({ previous, current }: { previous: string; current: string }): void {
    const lost = previous === 'connected' || ['unavailable', 'failed', 'disconnected'].includes(current)
    if (lost && current !== 'connected') this.degrade(`the socket is ${current}`)
  }

  // The list.

  private toMember({ id, info }: Subscribed): Member {
    const old = this.store().members.get(id)
    return {
      userId: id,
      ...userInfo.parse(info),
      isAuthor: old?.isAuthor ?? id === this.authorId,
      joinedAt: old?.joinedAt ?? Date.now() + this.clockSkew
    }
  }

  private subscribedMembers(): Map<string, Member> {
    const members = new Map<string, Member>()
    this.channel?.members.each((member: Subscribed) => members.set(member.id, this.toMember(member)))
    return members
  }

  private showSubscribed(): void {
    const members = this.subscribedMembers()
    // Who polls is no member of Pusher's channel, but one in the database.
    if (!this.socketHolds)
      for (const [id, member] of this.store().members) if (!members.has(id)) members.set(id, member)
    this.store().setMembers(members.values())
  }

  private showList({ version, members: listed }: MemberList): void {
    this.known = version
    if (!listed) return
    const isLive = this.store().connectionMode === 'realtime'
    const members = isLive ? this.subscribedMembers() : new Map<string, Member>()
    for (const member of listed) {
      // The list may be older than what the channel says; of a gateway's, nobody is missing.
      const isOld = this.goneSince.has(member.userId) || (isLive && this.socketHolds && !members.has(member.userId))
      if (!isOld) members.set(member.userId, member)
    }
    this.store().setMembers(members.values())
  }

  private onAdded(subscribed: Subscribed): void {
    const type = this.store().members.has(subscribed.id) ? 'updated' : 'joined'
    const member = this.toMember(subscribed)
    this.store().putMember(member)
    this.onEvent({ type, member })
  }

  private onRemoved({ id }: Subscribed): void {
    this.goneSince.add(id)
    const member = this.store().members.get(id)
    this.store().removeMember(id)
    if (member) this.onEvent({ type: 'left', member })
  }

  // The page. Timers do not fire while a laptop sleeps: look again at once.

  private onWake = (): void => {
    if (document.visibilityState === 'visible' && this.tabHolds) void this.beat()
  }

  private onHide = (): void => {
    if (this.holding) navigator.sendBeacon('/api/presence/leave', JSON.stringify(this.address))
  }
}

// Not crypto.randomUUID, which exists on https and localhost only.
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
