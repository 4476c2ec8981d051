/** Icons of the panel, the tabs and the toolbar. */

import { LabIcon } from '@jupyterlab/ui-components';

import svgstr from '../../style/bgstream.svg';
import threadSvg from '../../style/thread.svg';

/** A speech bubble with a line still being written. */
export const bgstreamIcon = new LabIcon({ name: 'jupyter-bgstream:icon', svgstr });

/** Two speech bubbles: a thread. */
export const threadIcon = new LabIcon({ name: 'jupyter-bgstream:thread', svgstr: threadSvg });
