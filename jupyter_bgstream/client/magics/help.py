"""What ``%bg help`` prints."""

HELP = """\
%%bg [MODEL …] [--thread NAME] [--name VARIABLE] [further options]
    Send the cell's text to a model in the background. The kernel is free at
    once; the answer comes in the cell's output, and goes on when the
    notebook, the browser or the kernel is gone.
      MODEL            provider/name, else the server's default. Of several
                       the answers stand side by side
      --thread NAME    go on with the conversation of this name
      --name VARIABLE  keep a handle: VARIABLE.text, .wait(), .cancel()
      --wait           do not return before it has ended. An interrupt ends
                       the waiting and not the job; a second one cancels it
      --image IMAGE    show it a picture: an expression (a figure, an image,
                       bytes) or a file's path; may be given several times
      --file PATH      send a file with it: a PDF, a text (CSV, JSON, code, …), a
                       picture or a recording; may be given several times
      --system TEXT    what the model is told beforehand
      --param K=VALUE  max_tokens=500, temperature=0, reasoning_effort=low, …;
                       the value is JSON, else a text; may be given several times
      --raw            send all braces as they stand
      --fill           fill in expressions also in code
      --on-restart retry   when the server dies, ask again (else: interrupt)
      --retries always     ask again also after an answer that broke off
                           (else: before_first_token; or never)
      --priority batch     after all that somebody waits for (else: interactive)
      --idle-timeout 300   seconds for which the provider may be silent

{variable}, {table.head()} or {price:.2f} in prose is filled in. Pasted code,
markup, JSON and LaTeX are sent as they stand, unless --fill is given. A line
below the cell names what was filled in, and what could have been and was not.
{{variable}} is sent as {variable}, and --raw leaves all braces alone.

%bg, %bg list          list the newest jobs: of all notebooks, or with --here of
                       this one, with --thread NAME of a conversation, with
                       failed, running, … of one state
%bg show JOB           show all there is to a job: question, answer, cost, error
%bg attach JOB [NAME]  show its live answer here, and keep a handle as NAME
%bg wait [JOB …]       wait for jobs, or for all of this notebook
%bg cancel JOB …       stop jobs
%bg retry JOB          ask the same again, once the job has ended
%bg rm JOB … [--force] delete jobs; --force also those that go on
%bg cost [day]         what jobs cost: by day, model, thread, notebook, group or
                       submitted_by (a person, on a shared server)
%bg models [PROVIDER]  what can be asked, of one provider or of all
%bg mute [on|off] [thread NAME]
                       no notices of this notebook, or of a thread; off ends that
%bg threads            list conversations
%bg threads fork NAME NEW [JOB] | rename NAME NEW | delete NAME | show NAME
%bg help               show this

JOB is a job's id, the beginning of it, or its variable. Tab completes all of
this. In Python: import jupyter_bgstream as bg; then bg? is a short manual."""
