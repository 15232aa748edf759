#include <vector>
namespace n {
template <class T> class A : public B<T> { public: A(); void go(int x) const { foo<T>(x); bar.baz(); } int f_ = 0; };
}
void n::A::out(int y) { std::sort(y); }
using V = int;
