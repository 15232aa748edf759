<?php
namespace A\B;
use C\D as E;
/** Doc */
class F extends G { const X = 1; private $y = 2; public function go(H $h): int { return foo($h->bar()); } }
function top() { return new F(); }
