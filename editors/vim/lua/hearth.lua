-- Neovim's own inline completion (0.12) through `hearth lsp`, in place of the plugin's ghost text.
local M = {}

local function map(keys, what, accept)
  if vim.fn.hasmapto(what, 'i') == 0 and vim.g.hearth_mappings ~= 0 then
    vim.keymap.set('i', keys, what, { remap = true, silent = true })
  end
  vim.keymap.set('i', what, accept, { expr = true, silent = true })
end

--- Starts the server for each buffer of a file, and shows what it completes. False where this Neovim cannot.
function M.enable()
  local inline = vim.lsp.inline_completion
  local command = vim.g.hearth_command or { 'hearth', 'lsp' }
  if not inline or not vim.lsp.config or vim.fn.executable(command[1]) == 0 then
    return false
  end
  vim.lsp.config('hearth', {
    cmd = command,
    root_dir = function(_, found)
      found(vim.fn.getcwd())
    end,
    init_options = vim.g.hearth_options or vim.empty_dict(),
  })
  vim.lsp.enable('hearth')
  inline.enable(true)
  map('<Tab>', '<Plug>(hearth-accept)', function()
    return inline.get() and '' or '\t'
  end)
  return true
end

return M
