// The program `sterna`: the server and its command line.
#include "cli/program.h"
#include "main/serve.h"

int main(int argc, char** argv) {
  sterna::cli::Program program;
  const sterna::ServeCommand serve(program);
  return program.run(argc, argv);
}
