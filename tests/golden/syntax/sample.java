package a.b;
import java.util.List;
public class A extends B { 
  /** doc */
  private int x; public int go(List<String> l) { return new C(l).run(); } enum E { ONE } }
