/** Packages over HTTP: the door of this folder. */
export { FileServer, type Finder, type Servable } from './file-server';
