#include "smoke/cc/l.h"
#include <iostream>
int main(){std::cout<<l(3)<<std::endl;}
