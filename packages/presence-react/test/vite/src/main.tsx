import { createRoot } from 'react-dom/client'
import { configurePresence, usePresenceChannel, usePresenceStore, type Member } from 'presence-react'

configurePresence({ kind: 'gateway', key: 'key', host: '127.0.0.1', port: 9, tls: false })

function Readers() {
  const { currentChannel } = usePresenceChannel('emma')
  const members = usePresenceStore((state) => state.members)
  return (
    <>
      <h1>{currentChannel}</h1>
      <ul>
        {[...members.values()].map((member: Member) => (
          <li key={member.userId}>{member.name}</li>
        ))}
      </ul>
    </>
  )
}

createRoot(document.getElementById('root')!).render(<Readers />)
