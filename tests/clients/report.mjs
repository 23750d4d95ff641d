// Collects results; prints each failure as it happens and `N passed, N failed` at the end.

export class Report {
  #passed = 0;
  #failed = 0;

  pass() {
    this.#passed += 1;
  }

  fail(name, reason) {
    this.#failed += 1;
    console.log(`FAILED ${name}: ${reason}`);
  }

  async check(name, run) {
    try {
      await run();
      this.pass();
    } catch (error) {
      this.fail(name, error?.message ?? error);
    }
  }

  end() {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
    process.exit(this.#failed === 0 ? 0 : 1);
  }
}

export function assert(condition, message) {
  if (!condition) throw new Error(message);
}

export function equal(actual, expected, what = 'value') {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what} is ${a}, not ${e}`);
}

export function oneOf(actual, expected, what = 'value') {
  if (!expected.includes(actual)) throw new Error(`${what} is ${actual}, not one of ${expected}`);
}
