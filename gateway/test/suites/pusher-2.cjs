// Preloaded for the specs of pusher 2. They count requests by connections, which Node.js did not keep then; and one of
// them calls a done that it does not have.
const http = require('node:http')

http.globalAgent = new http.Agent()
globalThis.done = () => {}
