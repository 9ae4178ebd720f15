// Numbers, times and modes, as the page says them.

export const MODES = { realtime: 'Real time', polling: 'Polling', disconnected: 'Disconnected' }

const numbers = new Intl.NumberFormat('en')

export const formatNumber = (value: number) => numbers.format(value)

export const readersInRoom = (count: number) =>
  count === 1 ? '1 reader in this room' : `${formatNumber(count)} readers in this room`

const minutes = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const seconds = new Intl.DateTimeFormat('en', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23'
})

export const formatTime = (at: number) => minutes.format(at)
export const formatSeconds = (at: number) => seconds.format(at)
