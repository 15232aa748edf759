local u = require("util")
local M = {}
-- Doc
function M.go(x) return u.run(x) end
local function loc() end
M.other = function(y) return loc() end
return M
