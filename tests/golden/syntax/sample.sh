#!/bin/bash
source lib.sh
X=1
# Doc
go() { local a=1; run "$a"; }
function two { go; }
