" Talks to `hearth lsp`: framing, the document's text, ghost text. Vim 9 and Neovim from 0.7 on.
let s:job = v:null
let s:in = ''
let s:ready = 0
let s:next = 0
let s:waiting = {}
let s:open = {}
let s:ghost = {}
let s:timer = -1
let s:request = 0
let s:enabled = 1
let s:ns = has('nvim') ? nvim_create_namespace('hearth') : 0

" ---- messages

function! s:send(message) abort
  let body = json_encode(extend(a:message, {'jsonrpc': '2.0'}))
  let data = 'Content-Length: ' . strlen(body) . "\r\n\r\n" . body
  if has('nvim')
    call chansend(s:job, data)
  else
    call ch_sendraw(s:job, data)
  endif
endfunction

function! s:notify(method, params) abort
  call s:send({'method': a:method, 'params': a:params})
endfunction

function! s:call(method, params, Done) abort
  let s:next += 1
  let s:waiting[s:next] = a:Done
  call s:send({'id': s:next, 'method': a:method, 'params': a:params})
  return s:next
endfunction

function! s:received(data) abort
  let s:in .= a:data
  while 1
    let head = stridx(s:in, "\r\n\r\n")
    if head < 0
      return
    endif
    let size = str2nr(matchstr(strpart(s:in, 0, head), '\ccontent-length: *\zs\d\+'))
    if strlen(s:in) < head + 4 + size
      return
    endif
    let body = strpart(s:in, head + 4, size)
    let s:in = strpart(s:in, head + 4 + size)
    call s:message(json_decode(body))
  endwhile
endfunction

function! s:message(m) abort
  if has_key(a:m, 'method')
    if has_key(a:m, 'id')
      call s:send({'id': a:m.id, 'result': v:null})
    endif
    return
  endif
  if has_key(s:waiting, a:m.id)
    let Done = remove(s:waiting, a:m.id)
    call Done(get(a:m, 'result', v:null), get(a:m, 'error', v:null))
  endif
endfunction

" ---- the process

function! s:ended(...) abort
  let s:job = v:null
  let s:ready = 0
  let s:open = {}
  let s:waiting = {}
endfunction

function! hearth#start() abort
  if s:job isnot v:null
    return 1
  endif
  let command = get(g:, 'hearth_command', ['hearth', 'lsp'])
  if !executable(command[0])
    return 0
  endif
  let s:in = ''
  if has('nvim')
    let s:job = jobstart(command, {'on_stdout': {j, d, e -> s:received(join(d, "\n"))},
          \ 'on_exit': function('s:ended')})
  else
    let s:job = job_start(command, {'mode': 'raw', 'noblock': 1, 'err_io': 'null',
          \ 'out_cb': {c, d -> s:received(d)}, 'exit_cb': function('s:ended')})
  endif
  call s:call('initialize', {'processId': getpid(), 'rootUri': s:uri(getcwd()),
        \ 'capabilities': {'general': {'positionEncodings': ['utf-8']}},
        \ 'initializationOptions': get(g:, 'hearth_options', {})}, function('s:initialized'))
  return 1
endfunction

function! s:initialized(result, error) abort
  call s:notify('initialized', {})
  let s:ready = 1
  if mode() ==# 'i'
    call hearth#typed()
  endif
endfunction

function! hearth#stop() abort
  if s:job is v:null
    return
  endif
  call s:call('shutdown', v:null, {r, e -> 0})
  call s:notify('exit', v:null)
endfunction

" ---- documents: the lines that have changed

function! s:uri(path) abort
  return 'file://' . substitute(a:path, '[^A-Za-z0-9_.~/-]', '\=s:escape(submatch(0))', 'g')
endfunction

function! s:escape(char) abort
  return join(map(range(strlen(a:char)), {_, i -> printf('%%%02X', char2nr(strpart(a:char, i, 1), 0))}), '')
endfunction

" How many lines both lists begin with (a:tail 0) or end with (1), at most a:most. Slices are compared,
" which is fast, and each line once.
function! s:same(old, new, tail, most) abort
  let low = 0
  let high = a:most
  while low < high
    let mid = (low + high + 1) / 2
    let equal = a:tail
          \ ? a:old[len(a:old) - mid : len(a:old) - low - 1] ==# a:new[len(a:new) - mid : len(a:new) - low - 1]
          \ : a:old[low : mid - 1] ==# a:new[low : mid - 1]
    if equal
      let low = mid
    else
      let high = mid - 1
    endif
  endwhile
  return low
endfunction

" The change from one list of lines to another, in whole lines.
function! s:delta(old, new) abort
  let least = min([len(a:old), len(a:new)])
  let head = s:same(a:old, a:new, 0, least)
  let tail = s:same(a:old, a:new, 1, least - head)
  let lines = head < len(a:new) - tail ? a:new[head : len(a:new) - tail - 1] : []
  return {'range': {'start': {'line': head, 'character': 0},
        \ 'end': {'line': len(a:old) - tail, 'character': 0}},
        \ 'text': join(map(copy(lines), {_, t -> t . "\n"}), '')}
endfunction

function! s:sync() abort
  let buf = bufnr('%')
  let tick = b:changedtick
  if has_key(s:open, buf) && s:open[buf].tick == tick
    return s:open[buf].uri
  endif
  let lines = getline(1, '$')
  if !has_key(s:open, buf)
    let uri = s:uri(expand('%:p') ==# '' ? '/untitled-' . buf : expand('%:p'))
    call s:notify('textDocument/didOpen', {'textDocument': {'uri': uri, 'languageId': &filetype,
          \ 'version': tick, 'text': join(lines, "\n") . "\n"}})
  else
    let uri = s:open[buf].uri
    call s:notify('textDocument/didChange', {'textDocument': {'uri': uri, 'version': tick},
          \ 'contentChanges': [s:delta(s:open[buf].lines, lines)]})
  endif
  let s:open[buf] = {'uri': uri, 'tick': tick, 'lines': lines}
  return uri
endfunction

function! hearth#closed(buf) abort
  if s:job isnot v:null && has_key(s:open, a:buf)
    call s:notify('textDocument/didClose', {'textDocument': {'uri': remove(s:open, a:buf).uri}})
  endif
endfunction

" ---- ghost text

function! hearth#visible() abort
  return !empty(s:ghost)
endfunction

function! s:clear() abort
  if has('nvim')
    call nvim_buf_clear_namespace(0, s:ns, 0, -1)
  elseif !empty(prop_type_get('hearth'))
    call prop_remove({'type': 'hearth', 'all': v:true})
  endif
endfunction

function! s:show() abort
  call s:clear()
  let lines = split(s:ghost.text, "\n", 1)
  let row = line('.')
  let col = col('.')
  if has('nvim')
    let mark = {'virt_text': [[lines[0], 'HearthGhost']], 'hl_mode': 'combine',
          \ 'virt_text_pos': col > len(getline('.')) || !has('nvim-0.10') ? 'overlay' : 'inline'}
    if len(lines) > 1
      let mark.virt_lines = map(lines[1:], {_, t -> [[t, 'HearthGhost']]})
    endif
    call nvim_buf_set_extmark(0, s:ns, row - 1, col - 1, mark)
    return
  endif
  if empty(prop_type_get('hearth'))
    call prop_type_add('hearth', {'highlight': 'HearthGhost'})
  endif
  if !empty(lines[0])
    call prop_add(row, col, {'type': 'hearth', 'text': lines[0]})
  endif
  for text in lines[1:]
    call prop_add(row, 0, {'type': 'hearth', 'text': text ==# '' ? ' ' : text, 'text_align': 'below'})
  endfor
endfunction

function! hearth#dismiss() abort
  call timer_stop(s:timer)
  if !empty(s:ghost)
    if !s:ghost.used && s:job isnot v:null
      call s:notify('textDocument/didDismissCompletion', {'item': s:ghost.item})
    endif
    let s:ghost = {}
    call s:clear()
  endif
endfunction

" Typing what is shown keeps it; anything else asks anew.
function! hearth#typed() abort
  if !s:enabled || &buftype !=# '' || get(b:, 'hearth_enabled', 1) == 0
    return
  endif
  if !hearth#start()
    return
  endif
  if !empty(s:ghost)
    let typed = strpart(getline('.'), s:ghost.col - 1, col('.') - s:ghost.col)
    if line('.') == s:ghost.row && col('.') >= s:ghost.col && typed !=# s:ghost.text
          \ && stridx(s:ghost.text, typed) == 0
      let s:ghost.text = strpart(s:ghost.text, strlen(typed))
      let s:ghost.col = col('.')
      call s:show()
      return
    endif
    call hearth#dismiss()
  endif
  call timer_stop(s:timer)
  let s:timer = timer_start(get(g:, 'hearth_delay', 20), {t -> hearth#ask(0)})
endfunction

function! hearth#ask(invoked) abort
  if !s:ready || mode() !=# 'i' || pumvisible()
    return
  endif
  if s:request && has_key(s:waiting, s:request)
    call s:notify('$/cancelRequest', {'id': s:request})
  endif
  let uri = s:sync()
  let at = {'buf': bufnr('%'), 'tick': b:changedtick, 'row': line('.'), 'col': col('.')}
  let s:request = s:call('textDocument/inlineCompletion', {'textDocument': {'uri': uri},
        \ 'position': {'line': at.row - 1, 'character': at.col - 1},
        \ 'context': {'triggerKind': a:invoked ? 1 : 2}}, {r, e -> s:answered(at, r)})
endfunction

function! s:answered(at, result) abort
  let now = {'buf': bufnr('%'), 'tick': b:changedtick, 'row': line('.'), 'col': col('.')}
  if type(a:result) != v:t_dict || empty(get(a:result, 'items', [])) || now != a:at || mode() !=# 'i'
    return
  endif
  let item = a:result.items[0]
  let s:ghost = {'item': item, 'text': substitute(item.insertText, "\r", '', 'g'), 'row': a:at.row,
        \ 'col': a:at.col, 'used': 0}
  call s:show()
  call s:notify('textDocument/didShowCompletion', {'item': item})
  redraw
endfunction

function! hearth#accept(what) abort
  if empty(s:ghost)
    return
  endif
  let text = s:ghost.text
  if a:what ==# 'word'
    let text = matchstr(text, '^\_s*\%(\k\+\|\%(\k\@!\S\)\+\)')
  elseif a:what ==# 'line'
    let text = matchstr(text, '^\n\=[^\n]*')
  endif
  let ghost = s:ghost
  let rest = strpart(ghost.text, strlen(text))
  let lines = split(text, "\n", 1)
  let before = strpart(getline('.'), 0, col('.') - 1)
  let after = strpart(getline('.'), col('.') - 1)
  let row = line('.')
  let s:ghost = {}
  call s:clear()
  let lines[0] = before . lines[0]
  let column = strlen(lines[-1]) + 1
  let lines[-1] .= after
  call setline(row, lines[0])
  if len(lines) > 1
    call append(row, lines[1:])
  endif
  call cursor(row + len(lines) - 1, column)
  call s:sync()
  if rest ==# ''
    call s:call('workspace/executeCommand', ghost.item.command, {r, e -> 0})
    return
  endif
  let ghost.used = 1
  let whole = substitute(ghost.item.insertText, "\r", '', 'g')
  let done = strpart(whole, 0, strlen(whole) - strlen(rest))
  call s:notify('textDocument/didPartiallyAcceptCompletion', {'item': ghost.item,
        \ 'acceptedLength': strchars(done) + strlen(substitute(done, '[^\U00010000-\U0010FFFF]', '', 'g')) / 4})
  let s:ghost = extend(ghost, {'text': rest, 'row': line('.'), 'col': col('.')})
  call s:show()
endfunction

" ---- commands

function! hearth#toggle() abort
  let s:enabled = !s:enabled
  call hearth#dismiss()
  echo 'Hearth: completions are ' . (s:enabled ? 'on' : 'off')
endfunction

function! hearth#status() abort
  if !hearth#start()
    echo 'Hearth: the program is not there: set g:hearth_command'
    return
  endif
  call s:call('hearth/status', {}, {r, e -> s:tell(r)})
endfunction

function! s:tell(status) abort
  if type(a:status) == v:t_dict
    echo 'Hearth: ' . a:status.state . ' ' . a:status.model . ' ' . a:status.message
  endif
endfunction
