export default function trouble(msg) {
  // Why upgrades stand still, for every browser: the last word of the status of ota-task, blank when they go on.
  const { fill, text = '' } = msg.status;
  const reason = text.split('.').at(-1);
  // A task that paused, or a command that was refused, stops no other one.
  const isAside = ['paused', 'messageRefused', 'failed'].includes(reason);
  return { topic: 'trouble', payload: fill === 'red' && !isAside ? reason : '' };
}
