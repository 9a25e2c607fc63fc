/** What a test started is ended after it, in reverse order, whether the test passed or not. */

interface Stoppable {
  stop(): void | Promise<void>;
}

/**
 * Called inside `describe`: returns a function that takes what was started and gives it back.
 * `const later = cleanup(); … const broker = later(await startAedes());`
 */
export function cleanup(): <T extends Stoppable>(resource: T) => T {
  const resources: Stoppable[] = [];
  afterEach(async () => {
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
