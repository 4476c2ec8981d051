import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['lib/', 'node_modules/', 'coverage/', 'style/index.js'] },
  {
    files: ['src/**/*.ts', 'test/**/*.ts'],
    extends: [js.configs.recommended, tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { project: './tsconfig.eslint.json', tsconfigRootDir: import.meta.dirname }
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // Lumino's signals take the method and its `this` apart.
      '@typescript-eslint/unbound-method': 'off',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'max-lines': ['error', { max: 400, skipBlankLines: true, skipComments: true }]
    }
  },
  {
    // The widget bundles these files, outside Lab, and tests run them in a bare page.
    files: ['wire/*', 'render/*', 'outputs/*', 'views/*', 'widget', 'translation'].map(name => `src/${name}.ts`),
    ignores: [
      'wire/loginCheck',
      'wire/restClient',
      'wire/serverModel',
      'render/labMarkdown',
      'outputs/findOutputs',
      'outputs/mimeRenderers',
      'outputs/outputSaver',
      'outputs/saveLease'
    ].map(name => `src/${name}.ts`),
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['@jupyterlab/*', '@lumino/*'], message: 'This file also lives outside Lab.' }] }
      ]
    }
  },
  { files: ['src/wire/schema.ts'], rules: { 'max-lines': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' }
  }
);
