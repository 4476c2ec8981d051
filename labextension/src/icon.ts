import { LabIcon } from '@jupyterlab/ui-components';

import svgstr from '../style/bgstream.svg';

/** A speech bubble with a line still being written. */
export const bgstreamIcon = new LabIcon({ name: 'jupyter-bgstream:icon', svgstr });
