'use client'

import { useRouter } from 'next/navigation'
import { useId, useState, type FormEvent } from 'react'
import { signIn, signUp } from '@/lib/auth-client'
import styles from './SignIn.module.css'

type Mode = 'quick' | 'up' | 'in'

const TITLES = { quick: 'Who is reading?', up: 'Create an account', in: 'Sign in' }
const ACTIONS = { quick: 'Start reading', up: 'Create account', in: 'Sign in' }

// open: strangers may make accounts. quick: also offer an account by name alone, for demos. It is a real account, with
// an e-mail address and a password that nobody knows.
export function SignIn({ signUp: open, quick }: { signUp: boolean; quick: boolean }) {
  const [mode, setMode] = useState<Mode>(quick ? 'quick' : 'in')
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  const router = useRouter()

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setBusy(true)
    setProblem(null)
    const { error } = await send(mode, form).catch(() => ({ error: { message: undefined } }))
    if (error) {
      setProblem(error.message ?? 'That did not work. Please try again.')
      setBusy(false)
    } else {
      router.refresh()
    }
  }

  const offered: Record<Mode, boolean> = { quick, in: true, up: open }
  const others = (['quick', 'in', 'up'] as const).filter((other) => other !== mode && offered[other])
  return (
    <main className={styles.page}>
      <form className={`card ${styles.form}`} onSubmit={submit} aria-labelledby="sign-in-title">
        <p className={styles.brand}>Reading rooms</p>
        <h1 id="sign-in-title" className={styles.title}>
          {TITLES[mode]}
        </h1>
        {mode !== 'in' && <Field label="Name" name="name" autoComplete="name" maxLength={80} />}
        {mode !== 'quick' && <Field label="E-mail" name="email" type="email" autoComplete="email" />}
        {mode !== 'quick' && (
          <Field
            label="Password"
            name="password"
            type="password"
            minLength={8}
            autoComplete={mode === 'in' ? 'current-password' : 'new-password'}
          />
        )}
        <p role="alert" className={styles.problem}>
          {problem}
        </p>
        <button type="submit" className="button" disabled={busy}>
          {ACTIONS[mode]}
        </button>
        <p className={styles.others}>
          {others.map((other) => (
            <button key={other} type="button" className={styles.other} onClick={() => setMode(other)}>
              {other === 'quick' ? 'Just a name' : TITLES[other]}
            </button>
          ))}
        </p>
      </form>
    </main>
  )
}

function send(mode: Mode, form: FormData) {
  const text = (name: string) => String(form.get(name) ?? '')
  if (mode === 'in') return signIn.email({ email: text('email'), password: text('password') })
  if (mode === 'up') return signUp.email({ name: text('name'), email: text('email'), password: text('password') })
  return signUp.email({ name: text('name'), email: `${random()}@guest.invalid`, password: random() })
}

const random = () => crypto.getRandomValues(new BigUint64Array(2)).join('')

function Field({ label, ...input }: { label: string } & React.InputHTMLAttributes<HTMLInputElement>) {
  const id = useId()
  return (
    <p className={styles.field}>
      <label htmlFor={id}>{label}</label>
      <input id={id} required {...input} />
    </p>
  )
}
