/** The platform's side of tasks: an engine on a channel, and who shares it. */
export { type HostOptions, TaskHost, type TaskListener } from './host';
export { serviceByWires, type StoreOwner, type StorePlace, TaskHosts, tasksThatNeed } from './hosts';
export { type WirePush, WiresChannel } from './wires';
