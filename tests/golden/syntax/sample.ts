import { a as b, c } from "./util";
import D from "d";
/** Does. */
export async function foo(x: Foo): Promise<void> { await bar(x); }
export const baz = (n: number) => qux(n);
export class K extends L { private m: string = ""; run(): void { this.go(); } }
interface I { f(): void; p: string }
type Z = string;
