" Completion by a local model through `hearth lsp`. :help hearth
if exists('g:loaded_hearth') || &compatible
  finish
endif
let g:loaded_hearth = 1
if has('nvim') ? !has('nvim-0.7') : !(has('patch-9.0.0185') && has('job') && has('textprop'))
  finish
endif

if get(g:, 'hearth_builtin', 0) && has('nvim-0.12') && luaeval('require("hearth").enable()')
  finish
endif

command! HearthStatus call hearth#status()
command! HearthToggle call hearth#toggle()
highlight default link HearthGhost Comment

inoremap <silent> <Plug>(hearth-accept) <Cmd>call hearth#accept('all')<CR>
inoremap <silent> <Plug>(hearth-word) <Cmd>call hearth#accept('word')<CR>
inoremap <silent> <Plug>(hearth-line) <Cmd>call hearth#accept('line')<CR>
inoremap <silent> <Plug>(hearth-dismiss) <Cmd>call hearth#dismiss()<CR>
inoremap <silent> <Plug>(hearth-ask) <Cmd>call hearth#ask(1)<CR>
if get(g:, 'hearth_mappings', 1)
  inoremap <silent><expr> <Tab> hearth#visible() ? "\<Cmd>call hearth#accept('all')\<CR>" : "\<Tab>"
  imap <silent> <M-w> <Plug>(hearth-word)
  imap <silent> <M-l> <Plug>(hearth-line)
  imap <silent> <C-]> <Plug>(hearth-dismiss)
  imap <silent> <M-\> <Plug>(hearth-ask)
endif

augroup hearth
  autocmd!
  autocmd InsertEnter,CursorMovedI,TextChangedI * call hearth#typed()
  autocmd InsertLeave * call hearth#dismiss()
  autocmd BufUnload * call hearth#closed(str2nr(expand('<abuf>')))
  autocmd VimLeavePre * call hearth#stop()
augroup END
