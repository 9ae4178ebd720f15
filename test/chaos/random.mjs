// Numbers that look random and come from a seed alone. Each who chooses has a stream of his own, so
// that what one does changes nothing of what another one chooses.
import { createHash } from 'node:crypto'

export class Random {
  #name
  #blocks = 0
  #words = []

  constructor(...name) {
    this.#name = name.join(' ')
  }

  #next() {
    if (this.#words.length === 0) {
      const block = createHash('sha256').update(`${this.#name} ${this.#blocks++}`).digest()
      for (let at = 0; at < block.length; at += 4) this.#words.push(block.readUInt32LE(at))
    }
    return this.#words.pop() / 2 ** 32
  }

  between(least, most) {
    return least + Math.floor(this.#next() * (most - least + 1))
  }

  chance(probability) {
    return this.#next() < probability
  }

  pick(list) {
    return list[this.between(0, list.length - 1)]
  }

  // One of the keys of an object, as often as its value says.
  weighted(weights) {
    let left = this.#next() * Object.values(weights).reduce((sum, weight) => sum + weight, 0)
    for (const [key, weight] of Object.entries(weights)) if ((left -= weight) < 0) return key
    return Object.keys(weights)[0]
  }
}
