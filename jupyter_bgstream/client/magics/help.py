"""Text of ``%bg help``."""

HELP = """\
%%bg [MODEL …] [--thread NAME] [--name VARIABLE] [further options]
    Send the text of the cell to a model in the background. The kernel is free
    at once. The answer appears in the output of the cell, and continues without
    the notebook, the browser or the kernel.
      MODEL            provider/name; default: the server's default model. With
                       several models the answers appear side by side
      --thread NAME    continue the thread of this name
      --name VARIABLE  assign a handle: VARIABLE.text, .wait(), .cancel()
      --wait           block until the job ends; interrupt once to detach, twice
                       to cancel
      --image IMAGE    send an image: an expression (a figure, an image, bytes)
                       or a path; repeatable
      --file PATH      send a file: PDF, text (CSV, JSON, code, …), image or audio;
                       repeatable
      --system TEXT    system prompt
      --param K=VALUE  max_tokens=500, temperature=0, reasoning_effort=low, …;
                       the value is JSON, else a text; repeatable
      --raw            send all braces as they are
      --fill           fill in expressions also in code
      --on-restart retry     submit again when the server dies (default: interrupt)
      --retry-policy always  repeat also attempts that broke off after the first
                             text (default: before_first_token; or never)
      --priority bulk        run after all interactive jobs (default: interactive)
      --idle-timeout 300     seconds without data from the provider until an
                             attempt fails

In prose, {variable}, {table.head()} and {price:.2f} are filled in. Pasted code,
markup, JSON and LaTeX are sent as they are, unless --fill is given. A line below
the cell lists what was filled in, and what was not but could have been.
{{variable}} is sent as {variable}; --raw leaves all braces as they are.

%bg, %bg list          list the newest jobs of all notebooks; --here: of this
                       notebook, --thread NAME: of a thread, failed, running, …:
                       with this status
%bg show JOB           show all of a job: prompt, answer, cost, error
%bg attach JOB [NAME]  show the live answer here, and assign a handle to NAME
%bg wait [JOB …]       wait for jobs; default: for all of this notebook
%bg cancel JOB …       cancel jobs
%bg retry JOB          submit an ended job again
%bg delete JOB … [--force]
                       delete jobs; --force: also jobs that have not ended
%bg costs [day]        costs by day, model, thread, notebook, batch or
                       submitted_by (a person, on a shared server)
%bg models [PROVIDER]  list the models of all providers or of one
%bg mute [on|off] [thread NAME]
                       mute the notices of this notebook or of a thread; off:
                       unmute
%bg threads            list threads
%bg threads fork NAME NEW [JOB] | rename NAME NEW | delete NAME | show NAME
%bg help               show this help

JOB is the id of a job, a prefix of it, or a variable. Tab completes all words.
In Python: import jupyter_bgstream as bg; then bg? is a short manual."""
