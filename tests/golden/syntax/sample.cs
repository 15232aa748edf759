using System.Text;
namespace N { /// <summary>Doc</summary>
 class A : B { int x; string P { get; set; } public A() {} void Go(C c) { c.Run(Foo.Bar()); } } }
