package main
import ( "fmt"; u "a/util" )
// T is it.
type T struct { X int }
// M does.
func (t *T) M(a int) error { fmt.Println(u.Do(a)); return nil }
const K = 1
