require "json"
module M
  # Doc
  class A < B
    LIMIT = 3
    def go(x)
      JSON.parse(x).map { |y| y.foo? }
    end
    def self.make = new
  end
end
