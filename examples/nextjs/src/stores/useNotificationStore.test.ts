import { beforeEach, describe, expect, it } from 'vitest'
import { useNotificationStore } from './useNotificationStore'

const store = useNotificationStore.getState
const joined = (readerName: string) => ({ type: 'reader-joined', readerName, bookId: 'emma', title: 'Emma' }) as const

beforeEach(() => store().clear())

describe('useNotificationStore', () => {
  it('has the newest first, and counts what is not read', () => {
    store().addNotification(joined('Ann'))
    store().addNotification(joined('Ben'))
    expect(store().entries.map(({ notification }) => notification.readerName)).toEqual(['Ben', 'Ann'])
    expect(store().unread).toBe(2)
    store().markAllRead()
    expect(store()).toMatchObject({ unread: 0, entries: [{}, {}] })
  })

  it('keeps the last fifty, each with an id of its own', () => {
    for (let n = 0; n < 60; n++) store().addNotification(joined(`Reader ${n}`))
    expect(store().entries).toHaveLength(50)
    expect(store().entries[0]!.notification.readerName).toBe('Reader 59')
    expect(new Set(store().entries.map(({ id }) => id)).size).toBe(50)
  })

  it('is empty for the next user', () => {
    store().addNotification(joined('Ann'))
    store().clear()
    expect(store()).toMatchObject({ entries: [], unread: 0 })
  })
})
