/**
 * ota-package: packages added, described and served. Commands come in, packages go out as ota-push takes them.
 */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { FILES_PATH, readBaseUrl } from '../lib/packages/library';
import { FileServer } from '../lib/packages/serve';
import { isLocalHost } from '../lib/packages/transfer/hosts';
import { onClose, onInput } from '../lib/red/input';
import { settingsOf, settingsReader, textSetting } from '../lib/red/settings';
import { setup } from '../lib/red/setup';
import { Status } from '../lib/red/status';
import { userFolder } from '../lib/red/user-directory';
import { PACKAGE } from '../lib/rules';
import { OtaError } from '../lib/protocol';
import { type PackageSettings, PackageCommands } from './package-commands';
import { signingKey } from './signing-key';

interface Config extends NodeDef {
  directory?: unknown;
  baseUrl?: unknown;
  signMethod?: unknown;
  maxBytes?: unknown;
  allowedHosts?: unknown;
  allowLocal?: unknown;
  privateKeyFile?: unknown;
}

/** What we read of Node-RED's settings. */
interface HttpSettings {
  readonly httpNodeRoot?: unknown;
  readonly httpNodeAuth?: unknown;
  readonly fileWorkingDirectory?: unknown;
}

type HttpServer = NodeAPI['httpNode'];

module.exports = (RED: NodeAPI): void => {
  function OtaPackage(this: Node, saved: Config): void {
    RED.nodes.createNode(this, saved);
    const status = new Status(this);
    setup(this, status, () => {
      const config = settingsOf(RED, this, saved);
      const settings = readSettings(RED, config, (this.credentials as { privateKey?: unknown }).privateKey);
      const commands = new PackageCommands(this, status, settings);
      const stopServing =
        settings.baseUrl === ''
          ? () => undefined
          : fileServer(RED.httpNode).add((id, name) => commands.find(id, name));
      for (const warning of warningsOf(RED, settings.baseUrl)) this.warn(warning);
      onInput(this, (msg, send) => commands.run(msg, send));
      onClose(this, async (removed) => {
        stopServing(removed ? undefined : 'restart');
        status.close();
        await commands.close();
      });
    });
  }

  RED.nodes.registerType('ota-package', OtaPackage as never, {
    credentials: { privateKey: { type: 'password' } },
  });
};

function readSettings(RED: NodeAPI, config: Config, privateKey: unknown): PackageSettings {
  const { httpNodeRoot, fileWorkingDirectory } = RED.settings as HttpSettings;
  const baseUrl = readBaseUrl(textSetting(config.baseUrl), textSetting(httpNodeRoot));
  if (baseUrl !== '' && httpNodeRoot === false) {
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      'Node-RED serves nothing to devices: "httpNodeRoot" is false in its settings file.',
    );
  }
  const read = settingsReader(PACKAGE, config);
  const keyFile = textSetting(config.privateKeyFile).trim();
  return {
    directory: userFolder(RED, textSetting(config.directory), 'ota/packages'),
    workingDirectory: textSetting(fileWorkingDirectory, process.cwd()),
    baseUrl,
    signMethod: read('signMethod') === 'MD5' ? 'Md5' : 'SHA256',
    maxBytes: read('maxBytes'),
    hosts: { allowedHosts: read('allowedHosts'), allowLocal: read('allowLocal') },
    inWords: (n) => RED._(n === 1 ? 'ota-package.status.onePackage' : 'ota-package.status.packages', { n }),
    privateKey: signingKey(
      textSetting(privateKey).trim(),
      keyFile === '' ? null : userFolder(RED, keyFile, ''),
    ),
  };
}

/** One for each HTTP server, whatever the number of nodes and deploys: Express forgets no route. */
const servers = new WeakMap<HttpServer, FileServer>();

function fileServer(app: HttpServer): FileServer {
  const known = servers.get(app);
  if (known !== undefined) return known;
  const server = new FileServer();
  servers.set(app, server);
  app.use(FILES_PATH, server.handle);
  return server;
}

const GUARDED =
  'httpNodeAuth guards the HTTP server of this Node-RED: devices will get 401 for packages. Make it a function ' +
  'that lets /ota/files through, or let a proxy serve /ota/files: the help of this node tells how. Never put a ' +
  'login into "baseUrl": every device would read it.';

/** What devices would be sent to themselves by. */
const LOCAL_BASE =
  'With this "baseUrl" no device on another machine reaches a package: it is an address of this machine, or a ' +
  'link-local one. Give the address at which devices reach this Node-RED.';

/** Every device gets it with each upgrade. */
const LOGIN_IN_BASE =
  'The setting "baseUrl" holds a login: every device reads it. Take it out, and let /ota/files through as the ' +
  'help of this node tells.';

/** A function, or a list of them, may let devices through; a user and a password never do. */
function isGuarded(RED: NodeAPI, baseUrl: string): boolean {
  const { httpNodeAuth } = RED.settings as HttpSettings;
  const isLogin = typeof httpNodeAuth === 'object' && httpNodeAuth !== null && !Array.isArray(httpNodeAuth);
  return isLogin && baseUrl !== '';
}

function warningsOf(RED: NodeAPI, baseUrl: string): string[] {
  if (baseUrl === '') return [];
  const url = new URL(baseUrl);
  return [
    ...(isGuarded(RED, baseUrl) ? [GUARDED] : []),
    ...(url.username !== '' || url.password !== '' ? [LOGIN_IN_BASE] : []),
    ...(isLocalHost(url) ? [LOCAL_BASE] : []),
  ];
}
