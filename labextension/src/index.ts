import { renderer, settings } from './plugins';

export { IAnswers } from './tokens';

export default [renderer, settings];
