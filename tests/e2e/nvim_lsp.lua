-- Neovim's own client of language servers with `hearth lsp`: run by test_nvim_lsp.py in each Neovim from 0.7 on.
-- HEARTH_COMMAND is the server's command as JSON; what goes wrong is written to the file HEARTH_REPORT.
local report = assert(io.open(vim.env.HEARTH_REPORT, 'w'))
local client

local function ask(method, params, buf)
  local answer = client.request_sync and client:request_sync(method, params, 30000, buf)
  assert(answer, method .. ': no answer')
  return answer
end
if vim.fn.has('nvim-0.11') == 0 then -- methods were called with a dot
  ask = function(method, params, buf)
    return assert(client.request_sync(method, params, 30000, buf), method .. ': no answer')
  end
end

local function equal(a, b, what)
  assert(vim.deep_equal(a, b), what .. ': ' .. vim.inspect(a) .. ' is not ' .. vim.inspect(b))
end

local function run()
  local progress, status, ended = {}, {}, nil
  local buf = vim.api.nvim_get_current_buf()
  vim.api.nvim_buf_set_name(buf, vim.env.HEARTH_REPORT .. '.py')
  vim.bo[buf].filetype = 'python'
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, { '# 👩‍💻 e\u{301}', 'def f(a):', '    return a' })
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  capabilities.general = vim.tbl_extend('force', capabilities.general or {}, { positionEncodings = { vim.env.HEARTH_ENCODING } })
  local id = vim.lsp.start_client({
    name = 'hearth',
    cmd = vim.json and vim.json.decode(vim.env.HEARTH_COMMAND) or vim.fn.json_decode(vim.env.HEARTH_COMMAND),
    capabilities = capabilities,
    init_options = { statistics = false },
    flags = { allow_incremental_sync = true, debounce_text_changes = 0 },
    workspace_folders = { { uri = 'file:///w', name = 'w' } },
    handlers = {
      ['hearth/statusChanged'] = function(_, s) table.insert(status, s.state) end,
      ['$/progress'] = function(_, p) table.insert(progress, p.value.kind) end,
    },
    on_exit = function(code) ended = code end,
  })
  vim.lsp.buf_attach_client(buf, id)
  client = vim.lsp.get_client_by_id(id)
  assert(vim.wait(30000, function() return client.initialized and status[#status] == 'ready' end), 'not ready')
  equal(client.offset_encoding, vim.env.HEARTH_ENCODING, 'encoding')
  local uri = vim.uri_from_bufnr(buf)
  local document = { textDocument = { uri = uri } }

  -- Edits, of which Neovim sends the differences by itself.
  local pieces = { 'a', '😀', 'é', 'e\u{301}', '日', '👩‍💻', '\t', '𝒳', ' ', 'bc' }
  math.randomseed(3)
  for n = 1, 400 do
    local row = math.random(0, vim.api.nvim_buf_line_count(buf) - 1)
    local text = vim.api.nvim_buf_get_lines(buf, row, row + 1, false)[1]
    local starts = {} -- where characters begin
    for at = 0, vim.fn.strchars(text, 1) do
      table.insert(starts, vim.fn.byteidx(text, at))
    end
    local i = math.random(1, #starts)
    local j = math.min(#starts, i + math.random(0, 3))
    local new = { pieces[math.random(#pieces)] .. pieces[math.random(#pieces)] }
    if n % 7 == 0 then table.insert(new, pieces[math.random(#pieces)]) end
    vim.api.nvim_buf_set_text(buf, row, starts[i], row, starts[j], new)
    if n % 50 == 0 then
      local whole = table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), '\n') .. '\n'
      equal(ask('hearth/documentText', document, buf).result.text, whole, 'text after ' .. n)
    end
  end

  vim.api.nvim_buf_set_lines(buf, 0, -1, false, { 'def f(a):', '    return a', '' })
  local at = { line = 1, character = 11 }
  local inline = ask('textDocument/inlineCompletion', {
    textDocument = document.textDocument, position = at, context = { triggerKind = 1 },
  }, buf)
  assert(inline.result and #inline.result.items <= 1, vim.inspect(inline))
  local plain = ask('textDocument/completion', {
    textDocument = document.textDocument, position = at, context = { triggerKind = 1 },
  }, buf)
  assert(plain.result and plain.result.items, vim.inspect(plain))

  local range = { start = { line = 0, character = 0 }, ['end'] = { line = 2, character = 0 } }
  local actions = ask('textDocument/codeAction', {
    textDocument = document.textDocument, range = range, context = { diagnostics = {} },
  }, buf).result
  equal(#actions, 4, 'actions')
  for _, action in ipairs(actions) do
    if action.command.command == 'hearth.document' then -- what it answers, the editor applies by itself
      local tick = vim.api.nvim_buf_get_changedtick(buf)
      local done = ask('workspace/executeCommand', {
        command = action.command.command, arguments = action.command.arguments,
      }, buf)
      equal(done.result, { applied = true }, 'document')
      assert(vim.wait(10000, function() return vim.api.nvim_buf_get_changedtick(buf) > tick end), 'nothing is applied')
      local whole = table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), '\n') .. '\n'
      equal(ask('hearth/documentText', document, buf).result.text, whole, 'text after the edit')
    end
  end
  assert(vim.tbl_contains(progress, 'begin') and vim.tbl_contains(progress, 'end'), 'no progress')
  if vim.fn.has('nvim-0.11') == 1 then client:stop() else client.stop() end
  assert(vim.wait(10000, function() return ended ~= nil end), 'the server does not end')
  equal(ended, 0, 'exit code')
end

local ok, problem = xpcall(run, debug.traceback)
report:write(ok and 'passed' or tostring(problem))
report:close()
vim.cmd('qall!')
