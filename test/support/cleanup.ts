/** What a test or a suite started is ended after it, in reverse order, whether it passed or not. */

interface Stoppable {
  stop(): void | Promise<void>;
}

/**
 * Called inside `describe`: returns a function that takes what was started and gives it back.
 * `const later = cleanup(); … const broker = later(await startAedes());`
 * `cleanup(after)` ends things after the whole suite, not after each test.
 */
export function cleanup(hook: Mocha.HookFunction = afterEach): <T extends Stoppable>(resource: T) => T {
  const resources: Stoppable[] = [];
  hook(async () => {
    const errors: unknown[] = [];
    for (const resource of resources.splice(0).reverse()) {
      try {
        await resource.stop();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
  return (resource) => {
    resources.push(resource);
    return resource;
  };
}
