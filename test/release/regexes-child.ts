/** Runs every regular expression over hostile texts of 1 MB, and says which one it has come to. */
import { compile, expressions, hostileTexts } from './regexes';

const LENGTH = 1_000_000;

for (const { where, text } of expressions()) {
  console.log(`${where} ${text}`);
  const expression = compile(text);
  for (const hostile of hostileTexts(text, LENGTH)) {
    expression.lastIndex = 0;
    expression.test(hostile);
    // A search goes on behind each match; a replacement as well.
    if (expression.global) hostile.replace(expression, '');
  }
}
console.log('done');
