/**
 * What the code must keep to: what a type checker can prove, and the walls between the rooms of nodes/lib.
 * Layout is Prettier's.
 */
import tseslint from 'typescript-eslint';

/** Forbids imports: rows of [pattern of the module's name, why, may its types be imported]. */
const noImports = (...rows) => ({
  '@typescript-eslint/no-restricted-imports': [
    'error',
    {
      patterns: rows.map(([regex, message, allowTypeImports = false]) => ({
        regex,
        message,
        allowTypeImports,
      })),
    },
  ],
});
const NODE_RED = [
  '^(node-red|@node-red/.*|(\\.\\./)+(lib/)?red(/.*)?)$',
  "Node-RED's API belongs to nodes/ota-* and lib/red.",
];
const MQTT = ['^mqtt(-packet)?(/.*)?$', 'MQTT belongs to lib/link.', true];
const SIBLINGS = [
  '^(\\.\\./)+(device|link|packages|tasks)(/.*)?$',
  'Of the other rooms this one imports lib/protocol and lib/rules only.',
];
const OTHER_ROOMS = ['^\\.\\.(?!/rules(/|$))', 'Of the other rooms the protocol imports lib/rules only.'];
const OUTSIDE = ['^\\.\\./\\.\\.(?!/rules(/|$))', OTHER_ROOMS[1]];
const RULES_ONLY = [
  '^(?!\\./)',
  'A rule imports nothing from outside lib/rules: it runs in the browser too.',
];
const PURE_ONLY = [
  '^(?!\\./|\\.\\./types$|\\.\\./\\.\\./(protocol|rules)(/|$))',
  'The machine is pure: it imports lib/protocol, lib/rules and the types of tasks only.',
];

const TRANSACTIONS_ONLY = [
  '^(?!\\./|\\.\\./(types|machine|policy)$|\\.\\./database/(database|effects)$|\\.\\./\\.\\./(protocol|rules)(/|$))',
  'A transaction is a need and a pure rule: it imports the machine, and of the databases the interface only.',
];
const ONE_DATABASE = [
  '/sqlite/(?!(open|driver|schema|file-on-disk)$)',
  'Whoever needs a database takes it from database/index: only the interface is used.',
];
const PLATFORM = ['^(\\.\\./)+(device|packages)(/.*)?$', 'The platform knows the link and the tasks only.'];

/** What does I/O, or is Node.js only, without an import. */
const NO_IO_GLOBALS = {
  'no-restricted-globals': [
    'error',
    ...['process', 'Buffer', 'require', 'fetch', 'performance', 'console', 'crypto'],
    ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'],
  ],
};
const OTHER_NODES = ['^\\.\\./ota-', 'No node imports another.'];

/** Rules of the language itself; the checks that TypeScript makes are left to it. */
const LANGUAGE = {
  eqeqeq: 'error',
  'no-console': 'error',
  'no-control-regex': 'off',
  'no-constant-condition': ['error', { checkLoops: false }],
  'no-empty': 'error',
  'no-fallthrough': 'error',
  'no-loss-of-precision': 'error',
  'no-misleading-character-class': 'error',
  'no-self-assign': 'error',
  'no-self-compare': 'error',
  'no-template-curly-in-string': 'error',
  'no-unsafe-finally': 'error',
  'no-unused-labels': 'error',
  'no-useless-catch': 'error',
  'no-useless-escape': 'error',
  'no-var': 'error',
  'object-shorthand': 'error',
  'prefer-const': 'error',
};

const TYPES = {
  // Numbers and booleans read well in a text; objects are the mistake.
  '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
  // `() => done()` says no more and no less than a block would.
  '@typescript-eslint/no-confusing-void-expression': 'off',
  // A name that begins with _ is left out on purpose.
  '@typescript-eslint/no-unused-vars': [
    'error',
    { varsIgnorePattern: '^_', argsIgnorePattern: '^_', ignoreRestSiblings: true },
  ],
  // Types are structures here: a stream of mqtt.js is a Duplex, whoever made it.
  '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
  // The maps of Node-RED's own nodes are plain objects.
  '@typescript-eslint/no-dynamic-delete': 'off',
  '@typescript-eslint/explicit-module-boundary-types': 'error',
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
};

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.demo/', '.release/', 'examples/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: { ...LANGUAGE, ...TYPES },
  },
  {
    // The type of a set of statements is what the function returns: written twice, the two would drift apart.
    files: ['nodes/lib/tasks/database/sqlite/*statements.ts'],
    rules: { '@typescript-eslint/explicit-module-boundary-types': 'off' },
  },
  {
    // The browser's side has a tsconfig of its own, which the project service doesn't find.
    files: ['nodes/**/*.editor.ts', 'nodes/lib/red/editor/**/*.ts'],
    languageOptions: {
      parserOptions: { projectService: false, project: './tsconfig.editor.json' },
    },
  },
  {
    // Node-RED's types are loose: a cast says what is expected of it, even where anything would pass.
    files: ['nodes/ota-*/**/*.ts', 'nodes/lib/red/**/*.ts'],
    rules: { '@typescript-eslint/no-unnecessary-type-assertion': 'off' },
  },
  { files: ['nodes/ota-*/**/*.ts'], rules: noImports(MQTT, OTHER_NODES) },
  { files: ['nodes/lib/red/**/*.ts'], rules: noImports(MQTT) },
  { files: ['nodes/lib/link/**/*.ts'], rules: noImports(NODE_RED, SIBLINGS) },
  {
    files: ['nodes/lib/{device,packages,tasks}/**/*.ts'],
    rules: noImports(NODE_RED, MQTT, SIBLINGS, ONE_DATABASE),
  },
  { files: ['nodes/lib/platform/**/*.ts'], rules: noImports(NODE_RED, MQTT, PLATFORM, ONE_DATABASE) },
  { files: ['nodes/lib/protocol/*.ts'], rules: noImports(NODE_RED, MQTT, OTHER_ROOMS) },
  { files: ['nodes/lib/protocol/*/*.ts'], rules: noImports(NODE_RED, MQTT, OUTSIDE) },
  { files: ['nodes/lib/rules/**/*.ts'], rules: { ...noImports(RULES_ONLY), ...NO_IO_GLOBALS } },
  { files: ['nodes/lib/tasks/machine/**/*.ts'], rules: { ...noImports(PURE_ONLY), ...NO_IO_GLOBALS } },
  {
    files: ['nodes/lib/tasks/transactions/**/*.ts'],
    rules: { ...noImports(TRANSACTIONS_ONLY), ...NO_IO_GLOBALS },
  },
  {
    files: ['test/**/*.ts', 'scripts/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A test that finds nothing at an index fails: that is what it is for.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unsafe-type-assertion': 'off',
      // Where a program is absent the suite is skipped before anything has started.
      'no-restricted-syntax': [
        'error',
        {
          selector:
            "CallExpression[callee.name='after'] > ArrowFunctionExpression > CallExpression > MemberExpression[optional=false][property.name=/^(stop|kill|close)$/]",
          message: 'Use cleanup(after) of test/support: the suite may be skipped before it started anything.',
        },
      ],
    },
  },
);
