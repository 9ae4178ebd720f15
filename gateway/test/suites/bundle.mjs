// bundle.mjs PUSHER_JS OUT: the integration specs of pusher-js for Node in one file, as its own
// webpack/config.node.js and spec/config/jasmine/webpack.integration.js put them together.
import { build } from 'esbuild'
import { join, resolve } from 'node:path'

const [source, out] = process.argv.slice(2)
const at = (...path) => resolve(join(source, ...path))
const helpers = at('spec/javascripts/helpers')
const alias = {
  pusher_integration: at('src/core/pusher.js'),
  integration: join(helpers, 'node/integration.js'),
  'dom/dependencies': join(helpers, 'node/mock-dom-dependencies.ts'),
  'dom/dependency_loader': join(helpers, 'node/mock-dom-dependencies.ts')
}

// Its index.node.js uses require.context, which is webpack's own; the list is the same.
const core = (name) => `require(${JSON.stringify(at('spec/javascripts/integration/core', name))})(configs)`
const specs = ['cluster_config_spec', 'falling_back_spec', 'pusher_spec/index', 'timeout_configuration_spec', 'transport_lists_spec']

await build({
  stdin: {
    contents: `const configs = [{ transport: 'ws', forceTLS: true }, { transport: 'ws', forceTLS: false }];\n${specs.map(core).join('\n')}`,
    resolveDir: resolve('.')
  },
  bundle: true,
  platform: 'node',
  outfile: out,
  nodePaths: [at('src/runtimes/node'), at('src'), at('src/runtimes'), helpers, resolve('node_modules')],
  define: {
    VERSION: '"8.8.8"',
    CDN_HTTP: '"http://js.pusher.com"',
    CDN_HTTPS: '"https://js.pusher.com"',
    DEPENDENCY_SUFFIX: '""',
    RUNTIME: '"node"'
  },
  banner: { js: 'var url;' }, // a spec helper assigns it without declaring it
  logLevel: 'error',
  plugins: [
    {
      name: 'names',
      setup(bundle) {
        bundle.onResolve({ filter: /^(pusher_integration|integration|dom\/dependencies|dom\/dependency_loader)$/ }, ({ path }) => ({ path: alias[path] }))
        bundle.onResolve({ filter: /^testenv$/ }, () => ({ path: 'testenv', namespace: 'testenv' }))
        bundle.onLoad({ filter: /.*/, namespace: 'testenv' }, () => ({ contents: "module.exports = 'node'" }))
      }
    }
  ]
})
