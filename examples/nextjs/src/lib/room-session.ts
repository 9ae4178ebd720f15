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

import { unstable_isUnrecognizedActionError as isOfAnotherBuild } from 'next/navigation'
import { joinRoom, leaveRoom } from '@/actions/presence'
import { getPusherClient, socketHolds, type PresenceChannel } from '@/lib/pusher-client'
import { usePresenceStore, type ConnectionMode } from '@/stores/usePresenceStore'
import { channelOf, failure, type ActionError, type ActionResult, type RoomPresence } from './members'
import type { Notification } from './notifications'
import { closeTab, joinTab, leaveEverywhere, leaveTab, pollTab, touchTab, type Tab } from './presence-api'
import { RoomList, type MemberEvent, type Subscribed } from './room-list'
import { Serial } from './serial'
import { onUserEvent, tellOtherTabs } from './user-events'
import { onWake } from './wake'

export type PresenceEvent =
  | MemberEvent
  | { type: 'mode'; mode: ConnectionMode; reason: string }
  | { type: 'left-elsewhere' } // the user left, in another tab: this one is out too
  | { type: 'refused'; error: ActionError }

export const POLL_INTERVAL = 30_000
// No tab asks more often, whatever happens.
const MIN_INTERVAL = 10_000
const CONNECT_TIMEOUT = 8_000
// The gateway has lost its database: who asks it at once makes that worse.
const DEGRADED_WAIT = 3_000
// All tabs lose their gateway at the same instant, and should not ask the server at
// the same one: some 500 of a room in a second. A gateway's leases last 25 seconds.
const SPREAD = { perMember: 2, least: 1_000, most: 15_000 }

const randomSpread = (members: number) =>
  Math.random() * Math.min(Math.max(members * SPREAD.perMember, SPREAD.least), SPREAD.most)

export class RoomSession {
  private readonly channelName: string
  // A name of its own for each stay, and after each goodbye, so that a late leave never ends a new one.
  private tab: Tab
  private readonly store = usePresenceStore.getState
  private readonly pusher = getPusherClient()
  private readonly socketHolds = socketHolds()
  private readonly calls = new Serial()
  private readonly list: RoomList
  private channel: PresenceChannel | undefined
  private undo: (() => void)[] = [] // what open() has bound
  private closed = false
  private falling = false // whether the tab has fallen back to polling
  private presence: RoomPresence | null = null
  private holding = false // whether the tab's connection is, or may be, in the database
  private joinFirst = true // whether the next poll has to be preceded by a join
  private showAtOnce = false // whether the list at hand is too old to wait for the others to join
  private beating = false
  private failures = 0
  private askedAt = -Infinity
  private answeredAt = Date.now()
  private reconnectedAt = -Infinity
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly bookId: string,
    private readonly onEvent: (event: PresenceEvent) => void
  ) {
    this.channelName = channelOf(bookId)
    this.list = new RoomList(this.socketHolds, onEvent)
    this.tab = newTab(bookId)
  }

  // From the user's Join to his Leave.

  open(): void {
    this.store().joinChannel(this.channelName)
    this.pusher.connection.bind('state_change', this.onState, this)
    window.addEventListener('pagehide', this.onHide)
    this.undo = [
      onWake(this.onWake),
      onUserEvent(this.onUserEvent),
      () => window.removeEventListener('pagehide', this.onHide),
      () => this.pusher.connection.unbind('state_change', undefined, this)
    ]
    this.timer = setTimeout(() => this.degrade('no answer from the socket server'), CONNECT_TIMEOUT)
    void this.enter()
  }

  private async enter(): Promise<void> {
    if (await this.join('connecting', () => this.joinByAction())) await this.poll()
    else if (!this.closed && !this.falling) this.unreachable()
  }

  // A page that is older than the last deploy has actions that the server no longer knows.
  private joinByAction(): Promise<ActionResult<RoomPresence>> {
    const { tab } = this
    return joinRoom(this.bookId, { connectionId: tab.connectionId }).catch((error: unknown) => {
      if (isOfAnotherBuild(error)) return joinTab(tab)
      throw error
    })
  }

  // The user leaves: all of his tabs. Resolves when the server knows.
  async leave(): Promise<void> {
    if (this.closed) return
    this.detach()
    this.store().leaveChannel()
    const result = await this.calls.run(() =>
      leaveRoom(this.bookId).catch((error: unknown) => {
        if (isOfAnotherBuild(error)) return leaveEverywhere(this.bookId)
        throw error
      })
    )
    if (result.success) tellOtherTabs({ type: 'room-left', bookId: this.bookId, at: result.data.at.getTime() })
  }

  // The tab goes: the user stays as long as he has another. Ends the stay at once;
  // the promise, when the server knows. May be called again.
  async close(): Promise<void> {
    if (this.closed) return
    this.detach()
    this.store().leaveChannel()
    if (this.holding) await this.calls.run(() => leaveTab(this.tab))
  }

  // Nothing is heard, sent or drawn after this.
  private detach(): void {
    this.closed = true
    clearTimeout(this.timer)
    for (const undo of this.undo) undo()
    if (!this.channel) return
    this.channel.unbind(undefined, undefined, this)
    this.pusher.unsubscribe(this.channelName)
  }

  // Joining, polling, releasing: one at a time, in order.

  private async join(lease: 'connecting' | 'polling', call = () => this.joinToPoll()): Promise<boolean> {
    this.holding = true
    const result = await this.calls.run(call)
    if (this.closed) return false
    if (!result.success) return this.refused(result.error)
    this.presence = result.data
    this.joinFirst = lease !== 'polling'
    this.list.joined(result.data)
    this.subscribe()
    return true
  }

  // Only a renewal gives the lease of a tab that polls: a join that is overtaken by the goodbye of its
  // page leaves a ghost, for as long as the lease that it gave. At once: a hidden tab has no timer in time.
  private async joinToPoll(): Promise<ActionResult<RoomPresence>> {
    const { tab } = this
    const isOver = () => this.closed || tab !== this.tab
    const joined = await joinTab(tab)
    if (!joined.success) return joined
    if (isOver()) return failure('unavailable')
    const touched = await touchTab(tab)
    // If it was not there any more, the next poll says whether the user has left.
    return touched.success && !isOver() ? joined : failure('unavailable')
  }

  private async poll(): Promise<boolean> {
    const { tab } = this
    const result = await this.calls.run(() => {
      this.list.asks()
      return pollTab(tab, this.list.known, this.presence?.id ?? null)
    })
    if (this.closed) return false
    if (!result.success) return this.refused(result.error)
    this.list.answered(result.data, this.isLive ? this.subscribers : null)
    if (!this.tabHolds || tab !== this.tab) return true
    if (result.data.left) return this.leftElsewhere()
    return result.data.joined || this.join('polling')
  }

  // Asks the server, and sees to the next time.
  private async beat(): Promise<void> {
    if (this.beating) return
    this.beating = true
    this.askedAt = Date.now()
    const isJoin = this.joinFirst
    const showsList = !isJoin || this.showAtOnce || this.store().members.size === 0
    const well = (!isJoin || (await this.join('polling'))) && (!showsList || (await this.poll()))
    this.beating = false
    if (this.closed || !this.tabHolds) return
    if (well) this.reached()
    else this.unreachable()
    this.retrySubscription()
    // The list at the moment of a fall lacks those who have not joined yet. A little later it is right.
    const next = isJoin && !showsList ? MIN_INTERVAL : POLL_INTERVAL
    this.beatIn(well ? next : Math.min(MIN_INTERVAL * 2 ** (this.failures - 1), POLL_INTERVAL))
  }

  private beatIn(delay: number): void {
    clearTimeout(this.timer)
    const earliest = this.askedAt + MIN_INTERVAL - Date.now()
    this.timer = setTimeout(() => void this.beat(), Math.max(delay, earliest))
  }

  private async release(): Promise<void> {
    await this.calls.run(async () => {
      // The socket may have been lost while this waited for its turn.
      if (this.closed || this.tabHolds) return failure('unavailable')
      this.joinFirst = true
      const result = await leaveTab(this.tab)
      if (result.success && !this.tabHolds) this.holding = false
      return result
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

  // A join that is on its way would bring the user back.
  private giveUp(): void {
    if (this.holding) void this.calls.run(() => leaveTab(this.tab))
  }

  private leftElsewhere(): false {
    this.detach()
    this.store().leaveChannel()
    this.onEvent({ type: 'left-elsewhere' })
    this.giveUp()
    return false
  }

  // Between real time and polling.

  private get isLive(): boolean {
    return this.store().connectionMode === 'realtime'
  }

  // Whether the tab's own connection holds the presence.
  private get tabHolds(): boolean {
    return this.falling || (this.isLive && !this.socketHolds)
  }

  private setMode(mode: ConnectionMode, reason: string): void {
    if (mode === this.store().connectionMode) return
    this.store().setConnectionMode(mode)
    this.onEvent({ type: 'mode', mode, reason })
  }

  private degrade(reason: string, wait = randomSpread(this.store().members.size)): void {
    if (this.falling) return
    if (this.isLive) this.answeredAt = Date.now()
    this.falling = true
    this.failures = 0
    this.list.outdated()
    this.setMode('polling', reason)
    this.beatIn(wait)
  }

  private restore(reason: string): void {
    const already = this.isLive
    if (!already) {
      clearTimeout(this.timer)
      this.falling = false
      this.failures = 0
      this.showAtOnce = false
      this.list.outdated()
      this.store().setUnreachable(null)
      this.setMode('realtime', reason)
    }
    this.list.subscribed(this.subscribers)
    if (already) return
    if (this.socketHolds) void this.release()
    else void this.beat()
  }

  // The server answers.
  private reached(): void {
    this.failures = 0
    this.answeredAt = Date.now()
    this.showAtOnce = false
    this.store().setUnreachable(null)
    if (this.falling) this.setMode('polling', 'the server answers')
  }

  // It does not. In real time the list is right all the same.
  private unreachable(): void {
    this.failures++
    if (this.isLive) return
    if (!this.falling) {
      this.falling = true
      this.beatIn(MIN_INTERVAL)
    }
    this.store().setUnreachable(this.answeredAt)
    this.setMode('disconnected', 'the server does not answer')
  }

  // The subscription.

  private subscribe(): void {
    if (this.channel) return
    this.channel = this.pusher.subscribe(this.channelName) as PresenceChannel
    this.channel.bind('pusher:subscription_succeeded', () => this.restore('subscribed'), this)
    this.channel.bind('pusher:subscription_error', () => this.degrade('the subscription was refused'), this)
    this.channel.bind('pusher:member_added', (member: Subscribed) => this.list.added(member), this)
    this.channel.bind('pusher:member_removed', (member: Subscribed) => this.list.removed(member), this)
    this.channel.bind('presence:degraded', this.onDegraded, this)
    this.channel.bind('presence:restored', () => this.restore('the gateway has its database again'), this)
  }

  private onDegraded(): void {
    this.degrade('the gateway has lost its database', DEGRADED_WAIT + randomSpread(this.store().members.size))
  }

  private get subscribers(): Subscribed[] {
    const members: Subscribed[] = []
    this.channel?.members.each((member: Subscribed) => members.push(member))
    return members
  }

  // With each poll. pusher-js itself tries less and less often, up to once a minute, or
  // gives up; and a subscription that the server refused stays pending for it, until the next socket.
  private retrySubscription(): void {
    if (!this.channel || this.channel.subscribed || this.isLive) return
    const isOnline = this.pusher.connection.state === 'connected'
    if (isOnline && !this.channel.subscriptionPending) this.pusher.subscribe(this.channelName)
    else if (Date.now() - this.reconnectedAt >= MIN_INTERVAL) this.reconnect()
  }

  private reconnect(): void {
    this.reconnectedAt = Date.now()
    this.pusher.disconnect()
    this.pusher.connect()
  }

  private onState({ previous, current }: { previous: string; current: string }): void {
    const lost = previous === 'connected' || ['unavailable', 'failed', 'disconnected'].includes(current)
    if (lost && current !== 'connected') this.degrade(`the socket is ${current}`)
  }

  // The page, and the user's other tabs.

  private onWake = (asleepSince: number | null): void => {
    if (asleepSince !== null) return this.onAwake(asleepSince)
    if (document.visibilityState === 'visible' && this.tabHolds) this.beatIn(0)
  }

  // What the socket said before the page slept is old, and whether it lives is not known.
  private onAwake(since: number): void {
    this.joinFirst = true
    this.showAtOnce = true
    if (this.falling) this.beatIn(0)
    else this.degrade('the page was asleep', 0)
    this.answeredAt = Math.min(this.answeredAt, since)
    this.reconnect()
  }

  private onHide = (): void => {
    if (!this.holding) return
    closeTab(this.tab)
    // The page may be back, from the cache, before the server has heard that.
    this.tab = newTab(this.bookId)
    this.joinFirst = true
  }

  private onUserEvent = (event: Notification): void => {
    if (event.type === 'session-ended') void this.poll() // ours? the server knows
    if (event.type === 'signing-out') this.signedOut()
    const isOurs = event.type === 'room-left' && event.bookId === this.bookId
    // A leave of before this stay ended another one.
    if (isOurs && (this.presence === null || this.presence.joinedAt.getTime() <= event.at)) this.leftElsewhere()
  }

  private signedOut(): void {
    this.refused('unauthorized')
    this.giveUp()
  }
}

// Not crypto.randomUUID, which exists on https and localhost only.
function newTab(bookId: string): Tab {
  const bytes = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0'))
  return { bookId, connectionId: bytes.join('') }
}
