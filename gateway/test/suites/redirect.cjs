// Preloaded: what would go to Pusher's hosts goes to the gateway. PLAIN_PORT and TLS_PORT say where.
const net = require('node:net')
const connect = net.Socket.prototype.connect

net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0]
  if (options && typeof options === 'object' && /\.pusher\.com$/.test(options.host ?? '')) {
    options.port = Number(Number(options.port) === 443 ? process.env.TLS_PORT : process.env.PLAIN_PORT)
    options.host = '127.0.0.1'
  }
  return connect.apply(this, args)
}
