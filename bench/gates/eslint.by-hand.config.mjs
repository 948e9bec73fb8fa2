/** The shipped lint settings, in the form that the eslint command reads. */
export { config as default } from '../../config/lint/eslint.config.mjs';
