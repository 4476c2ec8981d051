import { panel, renderer, saver, settings } from './plugins';

export { IAnswers } from './tokens';

export default [renderer, settings, saver, panel];
