/** The file of Mosquitto's dynamic security plug-in, which refuses openly (its acl_file doesn't). */
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const ITERATIONS = 101;

export interface DynsecUser {
  readonly username: string;
  readonly password: string;
  /** Topic filters whose subscription is refused, compared as text. All others are granted. */
  readonly refuseSubscribe?: readonly string[];
  /** Topics (wildcards allowed) that may not be published to. All others may. */
  readonly refusePublish?: readonly string[];
}

/** Where Debian put the plug-in. @throws where it isn't installed */
export function dynsecPlugin(): string {
  const found = fs
    .readdirSync('/usr/lib', { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join('/usr/lib', entry.name, 'mosquitto_dynamic_security.so'))
    .concat('/usr/lib/mosquitto_dynamic_security.so')
    .find((file) => fs.existsSync(file));
  if (found === undefined) throw new Error('mosquitto_dynamic_security.so: apt-get install mosquitto');
  return found;
}

/** The content of dynamic-security.json: everything is allowed but what a user is refused. */
export function dynsecFile(users: readonly DynsecUser[]): string {
  return JSON.stringify({
    defaultACLAccess: {
      publishClientSend: true,
      publishClientReceive: true,
      subscribe: true,
      unsubscribe: true,
    },
    clients: users.map((user) => {
      const salt = crypto.randomBytes(12);
      const hash = crypto.pbkdf2Sync(user.password, salt, ITERATIONS, 64, 'sha512');
      return {
        username: user.username,
        textName: '',
        roles: [{ rolename: `role-${user.username}`, priority: 0 }],
        password: hash.toString('base64'),
        salt: salt.toString('base64'),
        iterations: ITERATIONS,
      };
    }),
    groups: [],
    roles: users.map((user) => ({
      rolename: `role-${user.username}`,
      acls: [
        ...(user.refuseSubscribe ?? []).map((topic) => deny('subscribeLiteral', topic)),
        ...(user.refusePublish ?? []).map((topic) => deny('publishClientSend', topic)),
      ],
    })),
  });
}

function deny(acltype: string, topic: string): object {
  return { acltype, topic, priority: 10, allow: false };
}
